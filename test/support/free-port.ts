import { once } from 'node:events'
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

// Below the range that systems give to outgoing connections: from inside it, a
// client that reconnects to a killed server could be given the server's own port
// and talk to itself. With 10,000 added (a cluster node's bus) still below it.
const FIRST = 10_000
const LAST = 22_000

export async function freePort (): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST)
    if (await isFree(port) && await isFree(port + 10_000)) return port
  }
}

async function isFree (port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
