import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Where a message of the cluster bus says who has sent it. */
const SENDER_AT = 40
const SENDER_END = 80

/** The wires between the nodes of a Cluster. */
export class ClusterBus {
  readonly #cut = new Set<string>()
  readonly #wires = new Set<{ readonly from: string, readonly to: string, end(): void }>()
  readonly #stops: Array<() => Promise<void>> = []

  /**
   * The port by which other nodes are to reach a node.
   * @param target the port on which it listens to them
   * @param idOf asked when the first one connects
   */
  async open (port: number, target: number, idOf: () => Promise<string>): Promise<void> {
    const sockets = new Set<Socket>()
    const server = createServer((outer) => {
      sockets.add(outer)
      outer.on('error', () => {}).on('close', () => { sockets.delete(outer) })
      outer.once('data', (first: Buffer) => {
        outer.pause()
        const from = first.toString('latin1', SENDER_AT, SENDER_END)
        idOf().then((to) => { this.#join(outer, first, { from, to, target }) }, () => { outer.destroy() })
      })
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    this.#stops.push(async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    })
  }

  /** From now on the node hears of no other, and none of it. */
  cut (id: string): void {
    this.#cut.add(id)
    for (const wire of this.#wires) if (wire.from === id || wire.to === id) wire.end()
  }

  mend (): void {
    this.#cut.clear()
  }

  async stop (): Promise<void> {
    await Promise.all(this.#stops.map((stop) => stop()))
  }

  #join (outer: Socket, first: Buffer, { from, to, target }: { from: string, to: string, target: number }): void {
    if (outer.destroyed) return
    if (this.#cut.has(from) || this.#cut.has(to)) {
      outer.destroy()
      return
    }
    const inner = connect({ port: target, host: '127.0.0.1', noDelay: true })
    const wire = {
      from,
      to,
      end: () => {
        this.#wires.delete(wire)
        outer.destroy()
        inner.destroy()
      }
    }
    this.#wires.add(wire)
    for (const socket of [outer, inner]) socket.on('error', wire.end).on('close', wire.end)
    inner.write(first)
    outer.pipe(inner).pipe(outer)
  }
}
