import { once } from 'node:events'
import { Redis } from 'ioredis'

const END = 'the end of what a test watched'

/**
 * The names of the commands that reach a Redis from clients, not from scripts, while `run` runs. INFO is
 * left out, which each client sends at its own intervals.
 */
export async function commands (port: number, run: () => Promise<unknown>): Promise<string[]> {
  const client = new Redis({ port, host: '127.0.0.1' })
  const monitor = await client.monitor()
  const seen: string[] = []
  const ended = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, args: string[], source: string) => {
      if (args[1] === END) resolve()
      else if (source !== 'lua' && args[0]!.toLowerCase() !== 'info') seen.push(args[0]!.toLowerCase())
    })
  })
  try {
    await run()
    await client.echo(END)
    await ended
  } finally {
    monitor.disconnect()
    client.disconnect()
    if (monitor.status !== 'end') await once(monitor, 'end')
  }
  return seen
}
