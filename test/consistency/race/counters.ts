import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { sayHello } from '../../support/child-process.js'

/*
 * The database of the race: counters that only grow, each under a name, behind a socket. A line
 * `<id> <amount to add> <name>` is answered by `<id> <value>`.
 */

/** A server's connection to the counters. */
export class Counters {
  readonly #socket: Socket
  readonly #waiting = new Map<string, (value: number) => void>()
  #asked = 0

  private constructor (socket: Socket) {
    this.#socket = socket
    createInterface({ input: socket }).on('line', (line) => {
      const [id, value] = line.split(' ') as [string, string]
      this.#waiting.get(id)!(Number(value))
      this.#waiting.delete(id)
    })
  }

  static async open (port: number): Promise<Counters> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new Counters(socket)
  }

  get (name: string): Promise<number> {
    return this.#ask(0, name)
  }

  increment (name: string): Promise<number> {
    return this.#ask(1, name)
  }

  close (): void {
    this.#socket.destroy()
  }

  #ask (amount: number, name: string): Promise<number> {
    return new Promise((resolve) => {
      const id = String(++this.#asked)
      this.#waiting.set(id, resolve)
      this.#socket.write(`${id} ${amount} ${name}\n`)
    })
  }
}

async function serve (): Promise<void> {
  const values = new Map<string, number>()
  const server = createServer({ noDelay: true }, (socket) => {
    // A server was killed.
    const ignore = (): void => {}
    createInterface({ input: socket.on('error', ignore) }).on('error', ignore).on('line', (line) => {
      const [id, amount, name] = line.split(' ') as [string, string, string]
      const value = (values.get(name) ?? 0) + Number(amount)
      values.set(name, value)
      socket.write(`${id} ${value}\n`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  sayHello({ port: (server.address() as AddressInfo).port })
}

if (require.main === module) void serve()
