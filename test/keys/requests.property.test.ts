import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import Fastify, { type FastifyRequest } from 'fastify'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { listening, type Serving } from '../support/serving.js'
import type { Test } from 'tap'
import { name, reversed, text } from './arbitraries.js'

const test = patientStores()
const PAIRS = 600

/** What a request says about itself: all of it travels as JSON in the query, as headers and paths carry less. */
interface Asked {
  namespace: string
  scope: string
  query: Record<string, unknown>
}

const value = fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.jsonValue({ maxDepth: 2, noNullPrototype: true } as fc.JsonSharedConstraints))
const query = fc.dictionary(text, value, { maxKeys: 3, noNullPrototype: true })
const asked: fc.Arbitrary<Asked> = fc.record({ namespace: name, scope: name, query }, { noNullPrototype: true })

const beside = (one: Asked): fc.Arbitrary<Asked> => fc.oneof(
  fc.constant({ ...one, query: reversed(one.query) }),
  name.map((namespace) => ({ ...one, namespace })),
  name.map((scope) => ({ ...one, scope })),
  fc.tuple(text, value).map(([name, value]) => ({ ...one, query: { ...one.query, [name]: value } })),
  asked
)

const kAsked = Symbol('asked')
const of = (request: FastifyRequest): Asked => (request.query as { [kAsked]: Asked })[kAsked]

async function echoing (t: Test, options: ApiCacheOptions, policy: Partial<ReadPolicy> = {}): Promise<Serving> {
  const app = Fastify({
    http: { maxHeaderSize: 8 * 1024 * 1024 },
    routerOptions: {
      querystringParser (text) {
        const asked = JSON.parse(decodeURIComponent(text)) as Asked
        return Object.assign(asked.query, { [kAsked]: asked })
      }
    }
  })
  await app.register(apiCache, options)
  const cache: ReadPolicy = {
    expire: 60, namespace: (request) => of(request).namespace, scope: (request) => of(request).scope, ...policy
  }
  return await listening(t, app, (app) => app.get('/echo', { config: { cache } }, async (request) => of(request)))
}

/** JSON without what JSON itself does not tell apart. */
const wire = (asked: Asked): string => encodeURIComponent(JSON.stringify(asked))
const same = (one: Asked, other: Asked): boolean => isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)))

test('of two requests the second is a HIT if and only if it means the same, and each gets its own response', async (t, options) => {
  const { app, request } = await echoing(t, options)
  const pairs = asked.chain((one) => fc.tuple(fc.constant(one), beside(one)))
  let hits = 0
  await fc.assert(fc.asyncProperty(pairs, async ([one, other]) => {
    await (await app.apiCache.clear()).swept
    const first = await request(`/echo?${wire(one)}`)
    await app.apiCache.settled()
    const second = await request(`/echo?${wire(other)}`)
    await app.apiCache.settled()
    if (second.cache === 'HIT') hits++
    return first.status === 200 && second.status === 200 &&
      first.cache === 'MISS' && second.cache === (same(one, other) ? 'HIT' : 'MISS') &&
      same(JSON.parse(first.text) as Asked, one) && same(JSON.parse(second.text) as Asked, other)
  }), { numRuns: PAIRS })
  t.ok(hits > PAIRS / 20, `${hits} of ${PAIRS} pairs were equal`)
})

test('with random requests no response belongs to another request', async (t, options) => {
  const { request } = await echoing(t, options)
  // Few texts, so that requests meet what earlier ones left.
  const few = fc.constantFrom('*', '**', '|', ':', '|:', 'a', 'a|a', 'a:a', '~', '%7E', '\ud800', '%uD800', '=', '&a=', '')
  const small = fc.record({
    namespace: few.map((text) => text || '?'),
    scope: few.map((text) => text || '?'),
    query: fc.dictionary(few, fc.oneof(few, fc.array(few, { maxLength: 2 })), { maxKeys: 2, noNullPrototype: true })
  }, { noNullPrototype: true })
  await fc.assert(fc.asyncProperty(small, async (one) => {
    const { text } = await request(`/echo?${wire(one)}`)
    return same(JSON.parse(text) as Asked, one)
  }), { numRuns: PAIRS })
})
