import compress from '@fastify/compress'
import etag from '@fastify/etag'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { asking, ask as askOnce, cached, type Answered } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { listening } from '../support/serving.js'
import { codingOf, kept, plainOf, rows, text } from './encoded.js'

const test = eachTier()
const cache = { namespace: 'n', expire: 60, compress: true } as const
const config = { cache }
const BR = { 'accept-encoding': 'br' }

test('onSend hooks see the text of a body that is kept encoded', async (t, options) => {
  const seen: unknown[] = []
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => { seen.push(payload) })
    app.get('/', { config }, async () => rows)
  }, options)
  for (let times = 0; times < 2; times++) await ask('/', BR)
  const hit = await ask('/', BR)
  t.equal(cached(hit.headers), 'HIT')
  t.same(hit.bytes, kept.br(text))
  t.match(hit.headers.etag, /^W\/"/)
  t.same(seen, [text, text, text])
})

test('what a hook makes of the text is sent, not what is kept', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => `${payload as string} `)
    app.get('/', { config }, async () => rows)
  }, options)
  for (const state of ['MISS', 'HIT', 'HIT', 'HIT']) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), state)
    t.equal(plainOf(answered), `${text} `)
    t.equal((await ask('/')).text, `${text} `)
  }
})

test('a hook that changes bytes in place is noticed', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => { (payload as Buffer)[0] = 0x78 })
    app.get('/', { config }, async (_request, reply) => reply.type('text/plain').send(Buffer.from(text)))
  }, options)
  for (let times = 0; times < 4; times++) t.equal(plainOf(await ask('/', BR)), `x${text.slice(1)}`)
})

test('a hook that encodes the body all the same is left to it', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply, payload) => {
      reply.header('content-encoding', 'br')
      return kept.br(`own ${payload as string}`)
    })
    app.get('/', { config }, async () => text)
  }, options)
  for (const state of ['MISS', 'HIT', 'HIT', 'HIT']) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'br')
    t.equal(plainOf(answered), `own ${text}`)
  }
})

test('a hook that encodes what the client cannot read is left to it', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply, payload) => {
      reply.header('content-encoding', 'gzip')
      return kept.gzip(payload as string)
    })
    app.get('/', { config }, async () => text)
  }, options)
  for (const state of ['MISS', 'HIT', 'HIT', 'HIT']) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'gzip')
    t.same(answered.bytes, kept.gzip(text))
  }
})

test('a coding that only a hook knows is left to it', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply, payload) => {
      reply.header('content-encoding', 'x-own')
      return `own ${payload as string}`
    })
    app.get('/', { config }, async () => text)
  }, options)
  for (const state of ['MISS', 'HIT', 'HIT', 'HIT']) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'x-own')
    t.equal(answered.text, `own ${text}`)
  }
})

test('an error of a hook that throws for the error, too, is sent as it is', async (t, options) => {
  let throws = false
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async () => { if (throws) throw new Error('broken') })
    app.get('/', { config }, async () => rows)
  }, options)
  for (let times = 0; times < 3; times++) await ask('/', BR)
  throws = true
  const failed = await ask('/', BR)
  t.equal(failed.status, 500)
  t.equal(codingOf(failed), 'identity')
  t.match(failed.text, /broken/)
})

test('a hook that forbids transformations gets the text sent', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('cache-control', 'no-transform') })
    app.get('/', { config }, async () => text)
  }, options)
  for (let times = 0; times < 4; times++) {
    const answered = await ask('/', BR)
    t.equal(codingOf(answered), 'identity')
    t.equal(answered.text, text)
  }
})

test('a hook that makes the body short, or something else, has it sent as it is', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.url === '/short') return 'short'
      reply.type('image/png')
      return `${payload as string}.`
    })
    app.get('/:what', { config }, async () => text)
  }, options)
  for (let times = 0; times < 3; times++) {
    const short = await ask('/short', BR)
    t.equal(codingOf(short), 'identity')
    t.equal(short.text, 'short')
    const image = await ask('/image', BR)
    t.equal(codingOf(image), 'identity')
    t.equal(image.text, `${text}.`)
  }
})

for (const how of ['throws', 'answers 403 itself']) {
  test(`an error of a hook that ${how} is sent as it is`, async (t, options) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (request, reply, payload) => {
        if (request.headers['x-refused'] !== 'yes') return payload
        request.headers['x-refused'] = 'done'
        if (how === 'throws') throw Object.assign(new Error('forbidden'), { statusCode: 403 })
        reply.code(403).type('application/json')
        return '{"message":"forbidden"}'
      })
      app.get('/', { config }, async () => rows)
    }, options)
    for (let times = 0; times < 3; times++) await ask('/', BR)
    const refused = await ask('/', { ...BR, 'x-refused': 'yes' })
    t.equal(refused.status, 403)
    t.equal(codingOf(refused), 'identity')
    t.equal((JSON.parse(refused.text) as { message: string }).message, 'forbidden')
    t.same((await ask('/', BR)).bytes, kept.br(text))
  })
}

test('a body that a hook takes away is none in a coding', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (request, _reply, payload) => request.headers['x-empty'] === undefined ? payload : null)
    app.get('/', { config }, async () => rows)
  }, options)
  for (let times = 0; times < 3; times++) await ask('/', BR)
  const empty = await ask('/', { ...BR, 'x-empty': 'yes' })
  t.equal(empty.status, 200)
  t.equal(codingOf(empty), 'identity')
  t.equal(empty.headers['content-length'], '0')
})

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
