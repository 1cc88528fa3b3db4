import { spawn } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createApiCache } from '../../../lib/client.js'
import { sayHello } from '../../support/child-process.js'
import { pythonPath } from '../../support/programs.js'
import { Random } from '../../support/random.js'
import { Counters } from './counters.js'
import { madeOld, type Kind } from './registers.js'
import type { ServerSettings } from './server.js'
import { pause } from './stores.js'

/*
 * A process that only writes, without Fastify: through the client, whose writing() holds versions, or through the
 * Python client, which invalidates after the commit. It takes the same requests as a server.
 */

export interface WriterSettings extends ServerSettings {
  readonly speaks: 'JavaScript' | 'Python'
}

type Names = ReturnType<typeof madeOld>
type Write = (names: Names, commit: () => Promise<number>) => Promise<number>

function inJavaScript (url: string): Write {
  const cache = createApiCache({ redis: url, timeout: 4_000 })
  return async (names, commit) => await cache.writing(names, commit)
}

/** Each line that it reads is what to invalidate, and it answers each with a line. */
const PROGRAM = `
import json, sys
from api_cache import ApiCache
cache = ApiCache(sys.argv[1], timeout=4)
for line in sys.stdin:
    names = json.loads(line)
    if names['namespaces']: cache.invalidate(*names['namespaces'])
    if names['tags']: cache.invalidate_tags(*names['tags'])
    print('done', flush=True)`

function inPython (url: string): Write {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: join(__dirname, '../../../../examples/python') }
  const python = spawn(pythonPath(), ['-c', PROGRAM, url], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: Array<() => void> = []
  createInterface({ input: python.stdout }).on('line', () => { waiting.shift()!() })
  return async (names, commit) => {
    const value = await commit()
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      python.stdin.write(`${JSON.stringify(names)}\n`)
    })
    return value
  }
}

async function main ({ speaks, seed, redisPort, countersPort }: WriterSettings): Promise<void> {
  const random = new Random(seed)
  const counters = await Counters.open(countersPort)
  const write = { JavaScript: inJavaScript, Python: inPython }[speaks](`redis://127.0.0.1:${redisPort}`)

  async function answer (path: string, response: ServerResponse): Promise<void> {
    const [, kind, index] = path.split('/') as [string, Kind, string]
    try {
      const value = await write(madeOld(kind, Number(index)), async () => {
        await pause(random)
        const written = await counters.increment(`${kind}-${index}`)
        await pause(random)
        if (kind === 'unknown' && random.chance(0.3)) throw new Error('failed after the commit')
        return written
      })
      response.setHeader('x-pending', 0).end(JSON.stringify({ value }))
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  }

  // A connection that ends while a request is on its way leaves that without an answer.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => { void answer(request.url!, response) })
  server.listen(0, '127.0.0.1', () => { sayHello({ port: (server.address() as AddressInfo).port }) })
}

if (require.main === module) void main(JSON.parse(process.argv[2]!) as WriterSettings)
