import type { Redis } from 'ioredis'
import type { Duplex } from 'node:stream'
import { isHeartbeat } from './heartbeat.js'

/** How many writes to its socket each client made while `run` ran. */
export async function socketWrites (clients: readonly Redis[], run: () => Promise<unknown>): Promise<number[]> {
  const counts = clients.map(() => 0)
  const undo = clients.map((client, index) => {
    const stream = client.stream as Duplex
    const { _write, _writev } = stream
    stream._write = (...args) => {
      if (!isHeartbeat(args[0])) counts[index]!++
      _write.apply(stream, args)
    }
    stream._writev = (...args) => {
      counts[index]!++
      _writev!.apply(stream, args)
    }
    return () => { Object.assign(stream, { _write, _writev }) }
  })
  try {
    await run()
  } finally {
    for (const one of undo) one()
  }
  return counts
}
