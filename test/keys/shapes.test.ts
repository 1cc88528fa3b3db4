import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { patientStores } from '../support/patient-stores.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { keysOf, serving } from '../support/serving.js'

const test = patientStores()
const config = { cache: { namespace: 'shapes', expire: 60 } }

/** A server whose queries are what `parse` makes of their text, and whose handler tells which text it was. */
const parsing = (parse: (text: string) => unknown, more: FastifyServerOptions = {}): FastifyServerOptions => ({
  ...more, routerOptions: { querystringParser: parse as (text: string) => Record<string, unknown> }
})

const kText = Symbol('text')
const declare = (app: FastifyInstance): unknown => app.get('/', { config }, async ({ query }) => ({ text: (query as { [kText]: unknown })[kText] }))
const marked = (value: object, text: string): object => Object.assign(value, { [kText]: text })

class Range {
  readonly #from: string
  constructor (from: string) { this.#from = from }
  get from (): string { return this.#from }
}

// What two different queries may become and still look the same to JSON.
const DIFFERENT: Record<string, (text: string) => unknown> = {
  'numbers and their texts': (text) => ({ a: text === 'x' ? 1 : '1' }),
  'null and its text': (text) => ({ a: text === 'x' ? null : 'null' }),
  'an absent and an empty parameter': (text) => (text === 'x' ? {} : { a: '' }),
  'a text and a list of it': (text) => ({ a: text === 'x' ? 'b' : ['b'] }),
  'an empty list and an empty text': (text) => ({ a: text === 'x' ? [] : '' }),
  'a list of one text and two, joined': (text) => ({ a: text === 'x' ? ['a', 'b'] : ['a,b'] }),
  'lists in another order': (text) => ({ a: text === 'x' ? ['a', 'b'] : ['b', 'a'] }),
  sets: (text) => ({ a: new Set([text]) }),
  maps: (text) => ({ a: new Map([[text, 1]]) }),
  'dates and their texts': (text) => ({ a: text === 'x' ? new Date(0) : new Date(0).toJSON() }),
  dates: (text) => ({ a: new Date(text === 'x' ? 0 : 1) }),
  'bigints and objects': (text) => ({ a: text === 'x' ? 1n : { bigint: '1' } }),
  'what is not a number and null': (text) => ({ a: [text === 'x' ? NaN : null] }),
  zeros: (text) => ({ a: [text === 'x' ? 0 : -0] }),
  'a name with an own __proto__': (text) => ({ a: text === 'x' ? JSON.parse('{"__proto__":1}') as object : {} }),
  'nested objects': (text) => ({ a: { b: { c: text } } }),
  'a parameter that looks like two': (text) => (text === 'x' ? { a: '1&b=2' } : { a: '1', b: '2' })
}

for (const [what, parse] of Object.entries(DIFFERENT)) {
  test(`queries that a parser makes ${what} have separate entries`, async (t, options) => {
    const { app, request } = await serving(t, options, declare, parsing((text) => marked(parse(text) as object, text)))
    for (const cache of ['MISS', 'HIT']) {
      for (const text of ['x', 'y']) t.match(await request(`/?${text}`), { cache, text: JSON.stringify({ text }) })
      await app.apiCache.settled()
    }
  })
}

const SAME: Record<string, (text: string) => unknown> = {
  'objects whose names stand in another order': (text) => (text === 'x' ? { a: { b: 1, c: [{ d: 2, e: 3 }] }, f: 1 } : { f: 1, a: { c: [{ e: 3, d: 2 }], b: 1 } }),
  'objects with and without a prototype': (text) => Object.assign(Object.create(text === 'x' ? null : Object.prototype) as object, { a: '1' }),
  'undefined and absent parameters': (text) => (text === 'x' ? { a: undefined, b: { c: undefined } } : { b: {} })
}

for (const [what, parse] of Object.entries(SAME)) {
  test(`queries that a parser makes ${what} share an entry`, async (t, options) => {
    const { app, request } = await serving(t, options, declare, parsing((text) => marked(parse(text) as object, text)))
    t.equal((await request('/?x')).cache, 'MISS')
    await app.apiCache.settled()
    t.equal((await request('/?y')).cache, 'HIT')
  })
}

// Objects that keep what they are where no key sees it.
const OPAQUE: Record<string, (text: string) => unknown> = {
  'a URLSearchParams': (text) => new URLSearchParams(text),
  'a parameter that is an object of a class': (text) => ({ a: new Range(text) }),
  'a parameter that is a URL': (text) => ({ a: new URL(`http://127.0.0.1/${text}`) }),
  'a parameter that is a regular expression': (text) => ({ a: new RegExp(text) }),
  'a parameter that is a function': (text) => ({ a: () => text }),
  'a parameter that is a symbol': (text) => ({ a: Symbol(text) }),
  'a list': (text) => [text],
  'a parameter that is nested deeply': (text) => ({ a: Array.from({ length: 150 }).reduce<unknown>((inner) => ({ inner }), text) }),
  'a parameter that refers to itself': (text) => { const a: { text: string, a?: unknown } = { text }; a.a = a; return { a } }
}

for (const [what, parse] of Object.entries(OPAQUE)) {
  test(`requests whose query is ${what} bypass the cache, and the log says so`, async (t, options) => {
    const lines: LogLine[] = []
    const { app, request } = await serving(t, options, declare, parsing((text) => marked(parse(text) as object, text), loggingTo(lines)))
    for (const text of ['x', 'y', 'x']) t.match(await request(`/?${text}`), { status: 200, cache: 'MISS', text: JSON.stringify({ text }) })
    await app.apiCache.settled()
    t.same(await keysOf(app, 'shapes'), [])
    t.equal(complaints(lines).length, 1)
  })
}

test('a parameter whose type a schema leaves open differs from the string that looks like it', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => app.get('/', {
    config,
    schema: { querystring: { type: 'object', properties: { a: { default: 1 }, b: { type: ['string', 'boolean'], default: true } } } }
  }, async ({ query }) => query as object))
  const asked = { '/': '{"a":1,"b":true}', '/?a=1': '{"a":"1","b":true}', '/?b=true': '{"b":"true","a":1}' }
  for (const cache of ['MISS', 'HIT']) {
    for (const [path, text] of Object.entries(asked)) {
      const seen = await request(path)
      t.equal(seen.cache, cache, path)
      t.same(JSON.parse(seen.text), JSON.parse(text))
    }
    await app.apiCache.settled()
  }
})

test('the key has the query and path as hooks before the handler leave them', async (t, options) => {
  const { app, request } = await serving(t, options, (app) => {
    app.addHook('preHandler', async (request) => {
      (request.query as { q: string }).q = (request.query as { q: string }).q.toLowerCase()
    })
    app.get('/', { config }, async ({ query }) => query as object)
  })
  t.equal((await request('/?q=ADA')).cache, 'MISS')
  await app.apiCache.settled()
  t.match(await request('/?q=ada'), { cache: 'HIT', text: '{"q":"ada"}' })
})
