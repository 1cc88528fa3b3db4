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
  /**
   * Holds back, once, the answer to the next command of that name, and whatever comes after it on
   * its connection. Resolves when the server has answered.
   */
  holdAnswer (command: string): Promise<HeldAnswer>
  /** Nothing is carried in either direction until `mend`, and nothing is lost. */
  stall (): void
  /** From now on what the server says is told in another way, of the same length. */
  retell (told: (said: string) => string): void
  /** From now on new connections lead to the server at another port. */
  lead (port: number): void
  /** New connections are good again, and those that stand still go on. */
  mend (): void
  /** How many connections are there now. */
  readonly connections: number
  stop (): Promise<void>
}

/** An answer that a server has given, and a client has not got yet. */
export interface HeldAnswer {
  release (): void
  /** Cuts the connection instead. */
  lose (): void
}

interface Wire {
  readonly client: Socket
  readonly server: Socket
  dead: boolean
  /** What is held back, from when the command was sent. */
  held: Buffer[] | undefined
}

export async function startProxy (port: number): Promise<TcpProxy> {
  const wires = new Set<Wire>()
  let target = port
  let slowness = 0
  let limit = Infinity
  let told = (said: string): string => said
  let stalled = false
  let stopped = false
  let holding: { readonly command: string, readonly resolve: (answer: HeldAnswer) => void } | undefined

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const wire: Wire = { client, server, dead: false, held: undefined }
    let carried = 0
    let answered: ((answer: HeldAnswer) => void) | undefined
    wires.add(wire)
    const end = (): void => {
      if (wire.dead && !stopped) return
      wires.delete(wire)
      client.destroy()
      server.destroy()
    }
    client.on('data', (chunk) => {
      if (holding !== undefined && chunk.includes(`\r\n${holding.command}\r\n`)) {
        answered = holding.resolve
        wire.held = []
        holding = undefined
      }
      if (!wire.dead) server.write(chunk)
    })
    server.on('data', async (said) => {
      const chunk = Buffer.from(told(said.toString('latin1')), 'latin1')
      if (slowness > 0) await delay(slowness)
      if (wire.dead || client.destroyed) return
      if (wire.held !== undefined) {
        wire.held.push(chunk)
        answered?.({
          release () {
            client.write(Buffer.concat(wire.held!))
            wire.held = undefined
          },
          lose: end
        })
        answered = undefined
        return
      }
      const left = limit - carried
      carried += chunk.length
      if (carried <= limit) client.write(chunk)
      else client.end(chunk.subarray(0, Math.max(0, left)), end)
    })
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      if (stalled) socket.pause()
      socket.on('error', end).on('end', end).on('close', end)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port: own } = listener.address() as AddressInfo

  return {
    port: own,
    url: `redis://127.0.0.1:${own}`,
    slow (milliseconds) { slowness = milliseconds },
    cutAfter (bytes) { limit = bytes },
    halfOpen () { for (const wire of wires) wire.dead = true },
    stall () {
      stalled = true
      for (const { client, server } of wires) for (const socket of [client, server]) socket.pause()
    },
    retell (change) { told = change },
    lead (port) { target = port },
    holdAnswer: (command) => new Promise((resolve) => { holding = { command, resolve } }),
    mend () {
      slowness = 0
      limit = Infinity
      told = (said) => said
      stalled = false
      for (const { client, server } of wires) for (const socket of [client, server]) socket.resume()
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
