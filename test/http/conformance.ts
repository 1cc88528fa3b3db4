import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildProxy } from '../../examples/proxy.js'
import { freePort } from '../support/free-port.js'
import { startRedis } from '../support/redis-server.js'

/*
 * Runs the public HTTP cache test suite (http-cache-tests) through the example proxy and prints
 * one line of JSON: the suite's sections with the raw result of each test.
 *
 *   node conformance.js memory|redis streamed|buffered
 *
 * The registry holds the suite as it was in 2021; CACHE_TESTS names the folder of a newer one.
 */

interface SuiteTest {
  id: string
  kind?: 'required' | 'optimal' | 'check'
}

interface Section {
  id: string
  tests: SuiteTest[]
}

/** True, or the kind of failure and its message. */
type Result = true | [kind: string, message: string]

export interface Scored {
  section: string
  id: string
  kind: NonNullable<SuiteTest['kind']>
  result: Result
}

interface Runner {
  runTests: (...args: unknown[]) => Promise<void>
  getResults: () => Record<string, Result>
}

export const suite = process.env['CACHE_TESTS'] ?? dirname(createRequire(__filename).resolve('http-cache-tests/package.json'))
/** Newer ones keep what runs the tests in a folder of its own. */
const engine = existsSync(join(suite, 'test-engine')) ? join(suite, 'test-engine') : suite
export const isNewer = engine !== suite

async function load (path: string): Promise<unknown> {
  return await import(pathToFileURL(path).href) as unknown
}

/** Its own client; newer ones bring their own fetch, and send 100 tests' requests at a time only when asked. */
async function runClient (sections: Section[], origin: string): Promise<Record<string, Result>> {
  const { runTests, getResults } = await load(join(engine, 'client/runner.mjs')) as Runner
  if (isNewer) {
    await runTests(sections, false, origin, 100)
  } else {
    const { default: fetch } = await import('node-fetch' as string) as { default: unknown }
    await runTests(sections, fetch, false, origin)
  }
  return getResults()
}

/** The suite's own server; ends with `stop`. */
async function startOrigin (): Promise<{ origin: string, stop: () => Promise<void> }> {
  const port = String(await freePort())
  const server = spawn(process.execPath, [join(engine, 'server/server.mjs')], {
    cwd: suite,
    env: { ...process.env, npm_config_protocol: 'http', npm_config_port: port, npm_config_pidfile: '/dev/null' },
    stdio: ['ignore', 'pipe', 'ignore']
  })
  // However this process ends.
  process.once('exit', () => { server.kill() })
  await once(server.stdout, 'data')
  server.stdout.resume()
  return {
    origin: `http://127.0.0.1:${port}`,
    async stop () {
      server.kill()
      await once(server, 'exit')
    }
  }
}

async function run (store: string, delivery: string): Promise<Scored[]> {
  const redis = store === 'redis' ? await startRedis() : undefined
  const server = await startOrigin()
  const proxy = await buildProxy({
    upstream: server.origin,
    buffered: delivery === 'buffered',
    cache: redis === undefined ? { store: 'memory' } : { redis: redis.url }
  })
  try {
    const { default: sections } = await load(join(suite, 'tests/index.mjs')) as { default: Section[] }
    const results = await runClient(sections, await proxy.listen({ host: '127.0.0.1', port: 0 }))
    return sections.flatMap(({ id: section, tests }) => tests
      .filter(({ id }) => id in results)
      .map(({ id, kind = 'required' }) => ({ section, id, kind, result: results[id]! })))
  } finally {
    await proxy.close()
    await server.stop()
    await redis?.stop()
  }
}

if (require.main === module) {
  const [store = 'memory', delivery = 'streamed'] = process.argv.slice(2)
  void run(store, delivery).then((scored) => { process.stdout.write(`${JSON.stringify(scored)}\n`, () => { process.exit() }) })
}
