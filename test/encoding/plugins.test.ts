import compress from '@fastify/compress'
import etag from '@fastify/etag'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { ask as askOnce, cached, type Answered } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { listening } from '../support/serving.js'
import { codingOf, kept, plainOf, rows, text } from './encoded.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, compress: true } } as const
const BR = { 'accept-encoding': 'br' }

const orders: Record<string, (app: FastifyInstance, options: ApiCacheOptions) => Promise<unknown>> = {
  'registered before': async (app, options) => {
    await app.register(compress)
    await app.register(apiCache, options)
  },
  'registered after': async (app, options) => {
    await app.register(apiCache, options)
    await app.register(compress)
  },
  'for some routes only': async (app, options) => {
    await app.register(compress, { global: false })
    await app.register(apiCache, options)
  }
}

async function beside (
  t: Test, options: ApiCacheOptions, register: (app: FastifyInstance, options: ApiCacheOptions) => Promise<unknown>,
  declare: (app: FastifyInstance) => unknown
): Promise<(headers?: Record<string, string>, method?: string) => Promise<Answered>> {
  const app = Fastify()
  await register(app, options)
  const { origin } = await listening(t, app, declare)
  return async (headers, method) => {
    const answered = await askOnce(`${origin}/`, headers, method)
    await app.apiCache.settled()
    return answered
  }
}

for (const [order, register] of Object.entries(orders)) {
  test(`@fastify/compress ${order} steps aside on a HIT, and compresses a MISS`, async (t, options) => {
    const ask = await beside(t, options, register, (app) => app.get('/', { config, compress: {} }, async () => rows))
    const miss = await ask(BR)
    t.equal(codingOf(miss), 'br')
    t.equal(plainOf(miss), text)
    await ask(BR)
    const hit = await ask(BR)
    t.equal(cached(hit.headers), 'HIT')
    t.same(hit.bytes, kept.br(text))
    t.match(hit.headers.etag, /^W\/"/)
    t.equal(miss.headers.etag, hit.headers.etag)
    t.equal(hit.headers.vary?.match(/accept-encoding/gi)?.length, 1)
    const head = await ask(BR, 'HEAD')
    for (const name of ['content-length', 'content-encoding', 'etag', 'vary']) t.equal(head.headers[name], hit.headers[name], name)
    const plain = await ask()
    t.equal(plain.text, text)
    t.match(plain.headers.etag, /^"/)
    const range = await ask({ ...BR, range: 'bytes=0-9' })
    t.equal(range.status, 206)
    t.equal(range.text, text.slice(0, 10))
    for (const tag of [hit.headers.etag!, plain.headers.etag!]) {
      const unchanged = await ask({ ...BR, 'if-none-match': tag })
      t.equal(unchanged.status, 304)
      t.equal(unchanged.headers.etag, hit.headers.etag)
    }
  })
}

t.test('@fastify/etag before and after the cache has the same validators on a MISS and a HIT', async (t) => {
  for (const isFirst of [true, false]) {
    const ask = await beside(t, { store: 'memory' }, async (app, options) => {
      if (isFirst) await app.register(etag)
      await app.register(apiCache, options)
      if (!isFirst) await app.register(etag)
    }, (app) => app.get('/', { config }, async () => rows))
    const seen = new Set<string | undefined>()
    for (let times = 0; times < 4; times++) {
      const answered = await ask(BR)
      t.equal(plainOf(answered), text)
      seen.add(answered.headers.etag)
    }
    t.equal(seen.size, 1)
    const [tag] = seen
    t.match(tag, /^W\/"/)
    const unchanged = await ask({ ...BR, 'if-none-match': tag! })
    t.equal(unchanged.status, 304)
    t.equal(unchanged.headers.etag, tag)
    t.match(unchanged.headers.vary, /accept-encoding/)
    t.equal(unchanged.headers['content-encoding'], undefined)
  }
})
