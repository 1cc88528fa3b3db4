import fc from 'fast-check'
import Fastify, { type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { fileRedis } from '../support/each-store.js'
import { PATIENT } from '../support/patient-stores.js'
import { keysOf, listening } from '../support/serving.js'
import { name } from './arbitraries.js'

const redis = fileRedis()
const RUNS = 100

const namespaceOf = (request: FastifyRequest): string => JSON.parse((request.query as { n: string }).n) as string

async function sweeps (t: Test, keyPrefix: string): Promise<void> {
  const client = new Redis(redis().url, { keyPrefix })
  const bare = new Redis(redis().url)
  t.teardown(() => { client.disconnect(); bare.disconnect() })
  const app = Fastify({ http: { maxHeaderSize: 8 * 1024 * 1024 } })
  await app.register(apiCache, { ...PATIENT, redis: client, scope: 'shared', expire: 60 })
  const { request } = await listening(t, app, (app) => app.get('/', {
    config: { cache: { namespace: namespaceOf, key: (request) => (request.query as { k: string }).k } }
  }, async (request) => namespaceOf(request)))

  const namespaces = fc.uniqueArray(name, { minLength: 2, maxLength: 6 })
  await fc.assert(fc.asyncProperty(namespaces, fc.nat(), async (names, pick) => {
    await bare.flushall()
    // Not the plugin's: what a pattern that is not escaped could take for its own.
    const foreign = ['api-cache', 'api-cache|', 'api-cacheX|a:b', `${keyPrefix}api-cache`, `x${keyPrefix}api-cache|a:b`, 'other'].filter((key) => key !== '')
    await bare.mset(Object.fromEntries(foreign.map((key) => [key, 'foreign'])))
    for (const n of names) {
      for (const k of ['1', '2']) await request(`/?k=${k}&n=${encodeURIComponent(JSON.stringify(n))}`)
    }
    await app.apiCache.settled()
    const before = await Promise.all(names.map((name) => keysOf(app, name)))
    const index = pick % names.length
    // Such a name is refused: it can only be meant as a pattern.
    fc.pre(!/^\*+$/.test(names[index]!))
    const swept = await (await app.apiCache.invalidate(names[index]!)).swept
    const after = await Promise.all(names.map((name) => keysOf(app, name)))
    return swept === 2 &&
      before.every((keys) => keys.length === 2) &&
      after.every((keys, at) => at === index ? keys.length === 0 : keys.join() === before[at]!.join()) &&
      await bare.exists(...foreign) === foreign.length
  }), { numRuns: RUNS })
}

t.test('sweeping a namespace deletes its own keys and no others', async (t) => { await sweeps(t, '') })

t.test('a sweep also works with a keyPrefix of the client', async (t) => { await sweeps(t, 'app:') })

t.test('a sweep also works with a keyPrefix that looks like a pattern', async (t) => { await sweeps(t, 'a*p[p]?\\') })
