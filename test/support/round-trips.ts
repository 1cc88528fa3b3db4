import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'
import { isHeartbeat } from './heartbeat.js'

/** Milliseconds in which what is sent counts as sent together. */
const TOGETHER = 30

/** A way to a Redis on which each round trip can be counted. */
export interface CountedWay {
  readonly url: string
  /** How often something was sent that may have waited for an answer before. */
  count: number
}

/** Opens such a way until the test ends: what a client sends goes on in batches. */
export async function countRoundTrips (t: Test, port: number): Promise<CountedWay> {
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(port, '127.0.0.1')
    for (const socket of [client, server]) sockets.add(socket.on('error', () => {}))
    server.pipe(client)
    let batch: Buffer[] = []
    client.on('data', (chunk: Buffer) => {
      if (batch.length === 0 && isHeartbeat(chunk)) {
        server.write(chunk)
        return
      }
      if (batch.push(chunk) > 1) return
      setTimeout(() => {
        way.count++
        server.write(Buffer.concat(batch))
        batch = []
      }, TOGETHER)
    })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    proxy.close()
    for (const socket of sockets) socket.destroy()
  })
  const way = { url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`, count: 0 }
  return way
}
