import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const END = 'the end of what a test watched'
/** A line of MONITOR: time, database and client, or `lua` for a script, and the command. */
const LINE = /^\+[\d.]+ \[\d+ (\S+)\] "(\w+)"/

/**
 * The names of the commands that reach a Redis from clients, not from scripts, while `run` runs. INFO is
 * left out, which each client sends at its own intervals.
 */
export async function commands (port: number, run: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = []
  // Not over ioredis: it fails when the first line comes together with the answer to MONITOR.
  const monitor = connect(port, '127.0.0.1')
  const lines = createInterface({ input: monitor })
  const control = connect(port, '127.0.0.1')
  try {
    monitor.write('MONITOR\r\n')
    await once(lines, 'line')
    const ended = new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        const [, source, name = ''] = LINE.exec(line) ?? []
        if (line.includes(END)) resolve()
        else if (source !== 'lua' && name.toLowerCase() !== 'info') seen.push(name.toLowerCase())
      })
    })
    await run()
    control.write(`ECHO "${END}"\r\n`)
    await ended
  } finally {
    monitor.destroy()
    control.destroy()
  }
  return seen
}
