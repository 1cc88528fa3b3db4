import { once } from 'node:events'
import { connect } from 'node:net'
import { Random } from '../../support/random.js'

/** Requests that one connection has under way. */
const PIPELINED = 10
const STATUS_LINE = 'HTTP/1.1 '

export interface Load {
  readonly port: number
  readonly requests: number
  readonly connections: number
  readonly items: number
}

/** Asks, in batches and as fast as it is answered, and tells how many answers of which status there were. */
async function main (): Promise<void> {
  process.once('disconnect', () => { process.exit() })
  for (;;) {
    const [load] = await once(process, 'message') as [Load]
    const statuses: Record<string, number> = {}
    const each = Math.ceil(load.requests / load.connections / PIPELINED) * PIPELINED
    await Promise.all(Array.from({ length: load.connections }, async (_, connection) => { await ask(load, each, new Random(connection), statuses) }))
    process.send!(statuses)
  }
}

async function ask ({ port, items }: Load, requests: number, random: Random, statuses: Record<string, number>): Promise<void> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true)
  let rest = ''
  for (let asked = 0; asked < requests; asked += PIPELINED) {
    let batch = ''
    for (let request = 0; request < PIPELINED; request++) {
      const method = random.chance(0.01) ? 'POST' : 'GET'
      batch += `${method} /items/${random.below(items)} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`
    }
    socket.write(batch)
    for (let answered = 0; answered < PIPELINED;) {
      const [chunk] = await once(socket, 'data') as [string]
      const parts = (rest + chunk).split(STATUS_LINE)
      rest = parts.pop()!
      for (const part of [...parts.slice(1), ...(rest.length >= 3 ? [rest] : [])]) {
        const status = part.slice(0, 3)
        statuses[status] = (statuses[status] ?? 0) + 1
        answered++
      }
      // What was counted must not be counted again; a status line may be cut in two.
      rest = rest.length >= 3 ? rest.slice(-(STATUS_LINE.length + 2)) : STATUS_LINE + rest
    }
  }
  socket.destroy()
}

main()
