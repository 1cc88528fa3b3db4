import { asking, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { rows } from './encoded.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, compress: true } } as const
const BR = { 'accept-encoding': 'br' }

test('HEAD says what GET would send', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () => rows), options)
  for (let times = 0; times < 3; times++) await ask('/', BR)
  for (const headers of [BR, { 'accept-encoding': 'gzip;q=0' }]) {
    const get = await ask('/', headers)
    const head = await ask('/', headers, 'HEAD')
    t.equal(cached(head.headers), 'HIT')
    for (const name of ['content-length', 'content-encoding', 'content-type', 'etag', 'vary']) {
      t.equal(head.headers[name], get.headers[name], name)
    }
  }
})

test('HEAD does not say the length of a body that is not kept in the coding', async (t, options) => {
  const { ask } = await asking(t, (app) => app.get('/', { config }, async () => rows), options)
  const plain = await ask()
  const head = await ask('/', BR, 'HEAD')
  t.equal(cached(head.headers), 'HIT')
  t.equal(head.headers['content-length'], undefined)
  t.equal(head.headers.etag, `W/${plain.headers.etag!}`)
  t.equal(head.headers.vary, 'accept-encoding')
})

test('HEAD that is a MISS does not say the length of a body that GET would encode', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.get('/', { config }, async (_request, reply) => {
      reply.header('etag', '"own"')
      return rows
    })
    app.get('/short', { config }, async () => 'short')
  }, options)
  const head = await ask('/', BR, 'HEAD')
  const get = await ask('/', BR)
  t.same([cached(head.headers), cached(get.headers)], ['MISS', 'MISS'])
  t.equal(head.headers['content-length'], undefined)
  for (const name of ['content-type', 'etag', 'vary']) t.equal(head.headers[name], get.headers[name], name)
  const short = await ask('/short', BR, 'HEAD')
  t.equal(cached(short.headers), 'MISS')
  t.equal(short.headers['content-length'], '5')
  t.equal(short.headers.vary, undefined)
})

test('HEAD does not say the length of a kept body if a hook makes another one', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => `${payload as string} `)
    app.get('/', { config }, async () => rows)
  }, options)
  for (let times = 0; times < 3; times++) await ask('/', BR)
  const head = await ask('/', BR, 'HEAD')
  t.equal(cached(head.headers), 'HIT')
  t.equal(head.headers['content-length'], undefined)
})
