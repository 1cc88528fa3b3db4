import { Readable } from 'node:stream'
import Fastify from 'fastify'
import apiCache from '../../index.js'
import { open } from '../http/ask.js'
import { sayHello } from '../support/child-process.js'

/*
 * Sends one large stream to a client in this process, with or without the plugin, and tells how much memory that took.
 */

export interface Streamed {
  /** Bytes. */
  sent: number
  received: number
  /** How many responses the plugin has stored. */
  stored: number
  /** MiB that were in use at the most, beyond those before. */
  highest: number
}

export const MEBIBYTE = Buffer.alloc(1024 * 1024, 'x')

export const endless: Record<string, (take: () => Buffer | undefined) => unknown> = {
  'a Node stream': (take) => new Readable({ read () { this.push(take() ?? null) } }),
  'a web stream': (take) => new ReadableStream({
    pull (controller) {
      const chunk = take()
      if (chunk === undefined) controller.close()
      else controller.enqueue(new Uint8Array(chunk))
    }
  })
}

function used (): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

async function main (kind: string, how: string): Promise<void> {
  let left = Number(process.env['STREAM_MEBIBYTES'] ?? 200)
  const sent = left * MEBIBYTE.length
  const app = Fastify()
  if (how === 'cached') await app.register(apiCache, { store: 'memory' })
  const config = { cache: { namespace: 'streams', expire: 60 } }
  app.get('/', { config }, async () => endless[kind]!(() => left-- > 0 ? MEBIBYTE : undefined))
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  const before = used()
  let [highest, received] = [0, 0]
  for await (const chunk of await open(`${origin}/`) as AsyncIterable<Buffer>) {
    received += chunk.length
    highest = Math.max(highest, used() - before)
  }
  const stored = how === 'cached' ? app.apiCache.stats().stored : 0
  await app.close()
  sayHello({ sent, received, stored, highest: Math.round(highest / MEBIBYTE.length) } satisfies Streamed)
}

if (require.main === module) void main(process.argv[2]!, process.argv[3]!)
