import { asking, cached } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
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

test('a hook that says that a body has no coding changes nothing', async (t, options) => {
  const { ask } = await asking(t, (app) => {
    app.addHook('onSend', async (_request, reply) => { reply.header('content-encoding', 'identity') })
    app.get('/', { config }, async () => text)
  }, options)
  for (const state of ['MISS', 'HIT', 'HIT']) {
    const answered = await ask('/', BR)
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'br')
    t.equal(plainOf(answered), text)
    t.equal(answered.headers.vary, 'accept-encoding')
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
