import type { FastifyInstance, FastifySchema } from 'fastify'
import type { Test } from 'tap'
import { MemoryStore, type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { eachTier } from '../support/each-store.js'
import { PATIENT } from '../support/patient-stores.js'
import { keysOf, serving, type Serving } from '../support/serving.js'

const test = eachTier()

interface Release {
  policy?: Partial<ReadPolicy>
  /** The schema of the responses, and those that it may refer to. */
  response?: Record<string, unknown>
  shared?: object[]
  serializerCompiler?: true
}

const USER = { name: 'Ada', passwordHash: 's3cret' }

/** Declares one release of an application, which answers with all that its schema leaves of a user. */
const declaring = ({ policy, response, shared = [], serializerCompiler }: Release, release: number) => (app: FastifyInstance): void => {
  if (serializerCompiler) app.setSerializerCompiler(() => (payload) => JSON.stringify(payload))
  for (const schema of shared) app.addSchema(schema)
  app.get('/user', {
    schema: (response === undefined ? {} : { response }) as FastifySchema,
    config: { cache: { namespace: 'users', expire: 60, ...policy } }
  }, async (_request, reply) => reply.header('x-release', release).type('application/json').send(USER))
  app.post('/user', { config: { cache: { invalidate: 'users' } } }, async () => 'done')
}

/** Several releases side by side on one store. */
async function releases (t: Test, options: ApiCacheOptions, declared: Release[], plugin: ApiCacheOptions[] = []): Promise<Serving[]> {
  const common = { ...options, ...PATIENT, host: false, ...(options.redis === undefined ? { store: new MemoryStore() } : {}) }
  return await Promise.all(declared.map((release, index) => serving(t, { ...common, ...plugin[index] }, declaring(release, index + 1))))
}

/** What each release answers one after the other: HIT or MISS, and which one's answer. */
async function asked (servers: Serving[]): Promise<string[]> {
  const seen: string[] = []
  for (const { app, request } of servers) {
    const { cache, headers } = await request('/user')
    seen.push(`${cache} of ${headers.get('x-release')}`)
    await app.apiCache.settled()
  }
  return seen
}

for (const where of ['the plugin', 'the route']) {
  test(`two releases with a revision on ${where} have entries of their own, and each one's write makes both old`, async (t, options) => {
    const revisions = [{ revision: '3f2a1b' }, { revision: '9c8d7e' }]
    const servers = where === 'the plugin'
      ? await releases(t, options, [{}, {}], revisions)
      : await releases(t, options, revisions.map((policy) => ({ policy })))
    for (const writer of servers) {
      t.same(await asked(servers), ['MISS of 1', 'MISS of 2'])
      t.same(await asked(servers), ['HIT of 1', 'HIT of 2'])
      t.same(await keysOf(servers[0]!.app, 'users'), ['api-cache|users:GET /user revision=3f2a1b', 'api-cache|users:GET /user revision=9c8d7e'])
      t.equal((await writer.request('/user', { method: 'POST' })).status, 200)
      await writer.app.apiCache.settled()
    }
    t.same(await asked(servers), ['MISS of 1', 'MISS of 2'])
  })
}

test("a route's revision stands in the place of the plugin's, and any text is one", async (t, options) => {
  const [server] = await releases(t, options, [{ policy: { revision: 'a|b*~ scope=1' } }], [{ revision: 'plugin' }])
  t.same(await asked([server!]), ['MISS of 1'])
  t.same(await asked([server!]), ['HIT of 1'])
  t.same(await keysOf(server!.app, 'users'), ['api-cache|users:GET /user revision=a%7Cb%2A%7E%20scope%3D1'])
})

const text = { type: 'string' }
const user = (...names: string[]): object => ({ type: 'object', properties: Object.fromEntries(names.map((name) => [name, text])) })
const shared = (id: string, ...names: string[]): object => ({ $id: id, ...user(...names) })
const through = { $id: 'through', $ref: 'user#' }
const circular: Record<string, unknown> = {}
circular['self'] = circular

// What two releases differ in, where the first one's entries are not for the second.
const CHANGED: Record<string, [Release, Release]> = {
  'a response schema that is new': [{}, { response: { 200: user('name') } }],
  'a response schema': [{ response: { 200: user('name', 'passwordHash') } }, { response: { 200: user('name') } }],
  'the schema of a class of statuses': [{ response: { '2xx': user('name', 'passwordHash') } }, { response: { '2xx': user('name') } }],
  'the schema of one content type': [
    { response: { 200: { content: { 'application/json': { schema: user('name', 'passwordHash') } } } } },
    { response: { 200: { content: { 'application/json': { schema: user('name') } } } } }
  ],
  'a shared schema that the response schema refers to': [
    { response: { 200: { $ref: 'user#' } }, shared: [shared('user', 'name', 'passwordHash')] },
    { response: { 200: { $ref: 'user#' } }, shared: [shared('user', 'name')] }
  ],
  'a shared schema that is referred to through another': [
    { response: { 200: { $ref: 'through#' } }, shared: [through, shared('user', 'name', 'passwordHash')] },
    { response: { 200: { $ref: 'through#' } }, shared: [through, shared('user', 'name')] }
  ],
  'the statuses that may be stored': [{ policy: { statuses: [200, 404] } }, {}],
  'the request headers of vary': [{ policy: { vary: ['x-lang'] } }, {}],
  "what makes a request somebody's": [{ policy: { credentials: { cookies: ['session'] } } }, {}],
  'the scope, from everyone to anonymous callers': [{ policy: { scope: 'shared' } }, {}],
  'the scope, from anonymous callers to everyone': [{}, { policy: { scope: 'shared' } }],
  'the scope, to a function': [{ policy: { scope: 'shared' } }, { policy: { scope: () => 'shared' } }],
  'the scope, from a function to a header of its name': [{ policy: { scope: () => 'x' } }, { policy: { vary: ['scope'] } }]
}

for (const [what, [first, second]] of Object.entries(CHANGED)) {
  test(`without a revision a release does not answer from entries of one before, after a change of ${what}`, async (t, options) => {
    const [before, after] = await releases(t, options, [first, second]) as [Serving, Serving]
    const init = { headers: { scope: 'x' } }
    await before.request('/user', init)
    await before.app.apiCache.settled()
    t.equal((await before.request('/user', init)).cache, 'HIT')
    const seen = await after.request('/user', init)
    t.match(seen, { status: 200, cache: 'MISS' })
    if (second.response !== undefined) t.notMatch(seen.text, /passwordHash/)
    await after.app.apiCache.settled()
    t.equal((await after.request('/user', init)).cache, 'HIT')
    t.equal((await before.request('/user', init)).headers.get('x-release'), '1', 'both go on with entries of their own')
    await after.request('/user', { method: 'POST' })
    t.equal((await before.request('/user', init)).cache, 'MISS', 'and the write of one reaches both')
  })
}

const referring = { 200: { $ref: 'user#' } }

// What two releases may differ in and still share their entries.
const KEPT: Record<string, [Release, Release]> = {
  nothing: [{ response: { 200: user('name') } }, { response: { 200: user('name') } }],
  'how the default credentials are written': [{}, { policy: { credentials: { headers: ['Authorization', 'cookie'] } } }],
  'how the default statuses are written': [{}, { policy: { statuses: [200] } }],
  'the order of statuses': [{ policy: { statuses: [200, 404] } }, { policy: { statuses: [404, 200] } }],
  'how large and how old an entry may get': [{}, { policy: { maxBytes: 1_000, expire: '1 day' } }],
  'a shared schema that nothing refers to': [
    { response: referring, shared: [shared('user', 'name'), shared('other', 'a')] },
    { response: referring, shared: [shared('user', 'name'), shared('other', 'b')] }
  ],
  'what is no JSON, for a serializer compiler': [
    { response: { 200: circular }, serializerCompiler: true }, { response: { 200: circular }, serializerCompiler: true }
  ]
}

for (const [what, declared] of Object.entries(KEPT)) {
  test(`two releases that differ in ${what} share their entries`, async (t, options) => {
    t.same(await asked(await releases(t, options, declared)), ['MISS of 1', 'HIT of 1'])
  })
}

test('a HEAD is answered from the entry of its GET, whatever schema shapes it', async (t, options) => {
  const [server] = await releases(t, options, [{ response: { 200: user('name') }, policy: { revision: 'a' } }])
  t.same(await asked([server!]), ['MISS of 1'])
  t.equal((await server!.request('/user', { method: 'HEAD' })).cache, 'HIT')
  const [key] = await keysOf(server!.app, 'users')
  t.match(key, /^api-cache\|users:GET \/user revision=a~[\w-]{8}$/)
})
