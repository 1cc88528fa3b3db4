import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A wire between a client and a server that can be made bad. */
export interface TcpProxy {
  readonly port: number
  readonly url: string
  /** From now on everything that the server sends arrives so many milliseconds later. */
  slow (milliseconds: number): void
  /** From now on each connection is cut after so many bytes of what the server sends. */
  cutAfter (bytes: number): void
  /** The connections there are stay open at both ends and carry nothing any more, for good. */
  halfOpen (): void
  /** New connections are good again. */
  mend (): void
  /** How many connections are there now. */
  readonly connections: number
  stop (): Promise<void>
}

interface Wire {
  readonly client: Socket
  readonly server: Socket
  dead: boolean
}

export async function startProxy (target: number): Promise<TcpProxy> {
  const wires = new Set<Wire>()
  let slowness = 0
  let limit = Infinity
  let stopped = false

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const wire: Wire = { client, server, dead: false }
    let carried = 0
    wires.add(wire)
    const end = (): void => {
      if (wire.dead && !stopped) return
      wires.delete(wire)
      client.destroy()
      server.destroy()
    }
    client.on('data', (chunk) => { if (!wire.dead) server.write(chunk) })
    server.on('data', async (chunk) => {
      if (slowness > 0) await delay(slowness)
      if (wire.dead || client.destroyed) return
      const left = limit - carried
      carried += chunk.length
      if (carried <= limit) client.write(chunk)
      else client.end(chunk.subarray(0, Math.max(0, left)), end)
    })
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', end).on('end', end).on('close', end)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    slow (milliseconds) { slowness = milliseconds },
    cutAfter (bytes) { limit = bytes },
    halfOpen () { for (const wire of wires) wire.dead = true },
    mend () {
      slowness = 0
      limit = Infinity
    },
    get connections () { return wires.size },
    async stop () {
      stopped = true
      for (const { client, server } of wires) {
        client.destroy()
        server.destroy()
      }
      listener.close()
      await once(listener, 'close')
    }
  }
}
