import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { FastifyRequest, RouteOptions } from 'fastify'
import t from 'tap'
import type { ReadPolicy } from '../../index.js'
import { keyOf, type KeyOf } from '../../lib/key/cache-key.js'
import { Keyspace, MAX_KEY_BYTES } from '../../lib/key/keyspace.js'
import { compileReadPolicy } from '../../lib/policy/read-policy.js'
import { name, query, reversed, text, value } from './arbitraries.js'

const PAIRS = 100_000

/** All that may tell two answers of one route apart. */
interface Asked {
  namespace: string
  scope: string
  protocol: string
  host: string
  params: Record<string, unknown>
  query: Record<string, unknown>
  headers: Record<string, string | undefined>
}

const keyspace = new Keyspace('api-cache')

/** Where the parts of an identity come from does not matter to a key: they are on the request here. */
const source = (request: FastifyRequest): Asked => request as unknown as Asked

const policy: Partial<ReadPolicy> = {
  namespace: (request) => source(request).namespace,
  scope: (request) => source(request).scope,
  vary: ['accept', 'x-b']
}

function keyOfRoute (url: string, schema?: RouteOptions['schema'], more: Partial<ReadPolicy> = {}): KeyOf {
  const compiled = compileReadPolicy('a route', { expire: 60, ...policy, ...more } as ReadPolicy, {})
  return keyOf(compiled, { method: 'GET', url, schema, handler: () => {} }, keyspace)
}

function keyFor (keyOf: KeyOf, asked: Asked): string {
  const key = keyOf(asked as unknown as FastifyRequest)
  if ('bypass' in key) throw key.fault
  return key.key
}

const anything = { type: 'object' }
const withSchema = { querystring: anything, params: anything }

// What a route may look like, and the names of its parameters.
const ROUTES: Array<{ what: string, params: string[], keyOf: KeyOf }> = [
  { what: 'without a schema', params: ['id'], keyOf: keyOfRoute('/users/:id') },
  { what: 'with a schema that leaves types open', params: ['id'], keyOf: keyOfRoute('/users/:id', withSchema) },
  { what: 'with a wildcard', params: ['a', '*'], keyOf: keyOfRoute('/files/:a/*') },
  { what: 'with several parameters in one segment', params: ['a', 'b'], keyOf: keyOfRoute('/at/:a-:b', withSchema) },
  { what: 'with credentials by their names', params: ['token', 'key'], keyOf: keyOfRoute('/reset/:token/:key?') },
  { what: 'with an optional parameter', params: ['id'], keyOf: keyOfRoute('/maybe/:id?') },
  {
    what: 'with a key function',
    params: [],
    keyOf: keyOfRoute('/own', undefined, { key: (request) => String(source(request).query['key'] ?? '-') })
  }
]

const PLAIN = { noNullPrototype: true }
/** Hosts of which no two are spellings of one. */
const host = text.map((text) => text.toLowerCase().replace(/(:(80|443)?)+$/, ''))
const protocol = fc.oneof(fc.constantFrom('http', 'https'), text.map((text) => text.toLowerCase()))
const header = fc.option(text, { nil: undefined })
const headers = fc.record({ accept: header, 'x-b': header }, PLAIN)

function identities (params: string[]): fc.Arbitrary<Asked> {
  return fc.record({
    namespace: name,
    scope: name,
    protocol,
    host,
    params: fc.record(Object.fromEntries(params.map((param) => [param, text])), PLAIN),
    query: params.length === 0 ? fc.record({ key: name }, PLAIN) : query,
    headers
  }, PLAIN)
}

/** Another identity beside one: the same in another order, one that differs in one part, or one whose parts begin and end elsewhere. */
function beside (asked: Asked, params: string[]): fc.Arbitrary<Asked> {
  const own = params.length === 0
  const [first = 'id', second = first] = params
  const moved = (from: unknown): [string, string] => [String(from).slice(0, 1), String(from).slice(1)]
  return fc.oneof(
    fc.constant({ ...asked, query: reversed(asked.query), params: reversed(asked.params), headers: reversed(asked.headers) }),
    name.map((namespace) => ({ ...asked, namespace })),
    name.map((scope) => ({ ...asked, scope })),
    headers.map((headers) => ({ ...asked, headers })),
    host.map((host) => ({ ...asked, host })),
    protocol.map((protocol) => ({ ...asked, protocol })),
    fc.constant({ ...asked, protocol: `${asked.protocol}://`, host: asked.host.slice(1) }),
    fc.constant({ ...asked, host: `${asked.host} scope=${asked.scope}`, scope: '*' }),
    fc.constant({ ...asked, namespace: asked.namespace + asked.scope.slice(0, 1), scope: asked.scope.slice(1) || '*' }),
    fc.constant({ ...asked, headers: { accept: asked.headers['x-b'], 'x-b': asked.headers.accept } }),
    own
      ? name.map((key) => ({ ...asked, query: { key } }))
      : fc.oneof(
        text.map((param) => ({ ...asked, params: { ...asked.params, [first]: param } })),
        fc.constant({ ...asked, params: { ...asked.params, [first]: moved(asked.params[second])[0], [second]: moved(asked.params[second])[1] } }),
        fc.constant({ ...asked, query: Object.fromEntries(Object.entries(asked.query).map(([name, value]) => [name, typeof value === 'object' ? value : String(value)])) }),
        fc.tuple(text, value).map(([name, value]) => ({ ...asked, query: { ...asked.query, [name]: value } })),
        fc.constant({ ...asked, query: Object.fromEntries(Object.entries(asked.query).map(([name, value]) => typeof value === 'string' ? [value, name] : [name, value])) })
      )
  )
}

let pairs = 0
let equal = 0

for (const { what, params, keyOf } of ROUTES) {
  t.test(`two identities on a route ${what} have one key if and only if they are one`, async (t) => {
    const arbitrary = identities(params).chain((a) => fc.tuple(fc.constant(a), beside(a, params)))
    let longest = 0
    fc.assert(fc.property(arbitrary, ([a, b]) => {
      const same = isDeepStrictEqual(a, b)
      const [one, other] = [keyFor(keyOf, a), keyFor(keyOf, b)]
      pairs++
      if (same) equal++
      longest = Math.max(longest, one.length)
      return (one === other) === same &&
        /^[\x20-\x7e]*$/.test(one) &&
        one.startsWith(keyspace.entries(a.namespace)) &&
        one.startsWith(keyspace.entries(b.namespace)) === (a.namespace === b.namespace) &&
        (keyspace.version(a.namespace) === keyspace.version(b.namespace)) === (a.namespace === b.namespace)
    }), { numRuns: Math.ceil(PAIRS / ROUTES.length) })
    t.equal(longest, MAX_KEY_BYTES)
  })
}

t.test('both equal and different pairs were tried', async (t) => {
  t.ok(pairs >= PAIRS, `${pairs} pairs`)
  t.ok(equal > PAIRS / 50 && equal < PAIRS / 2, `${equal} of them equal`)
  t.comment(`${pairs} pairs, ${equal} of them equal`)
})

t.test('two tags have one key if and only if they are one', async () => {
  fc.assert(fc.property(name, name, (a, b) => (keyspace.tag(a) === keyspace.tag(b)) === (a === b)), { numRuns: 10_000 })
})
