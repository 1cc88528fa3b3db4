import t from 'tap'
import { asking, cached } from './ask.js'

const policy = { namespace: 'clients', expire: 60 }

for (const [sentence, cache, said] of [
  ['has to revalidate each time', policy, 'no-cache'],
  ['has to revalidate each time and no shared cache may store the response if entries are not shared', { ...policy, scope: () => 'zoe' }, 'private, no-cache'],
  ['may use a response for clientExpire', { ...policy, clientExpire: '5m' }, 'max-age=300'],
  ['may use a response for clientExpire, but no shared cache may, if entries are not shared', { ...policy, scope: () => 'zoe', clientExpire: 300 }, 'private, max-age=300']
] as const) {
  t.test(`a client ${sentence}, on MISS and HIT`, async (t) => {
    const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => ({ a: 1 })))
    for (const state of ['MISS', 'HIT']) {
      const { headers } = await ask()
      t.equal(cached(headers), state)
      t.equal(headers['cache-control'], said)
    }
  })
}

for (const [name, value] of [['cache-control', 'public, max-age=9'], ['expires', new Date(Date.now() + 9_000).toUTCString()]] as const) {
  t.test(`a client gets the handler's own ${name} and nothing else`, async (t) => {
    const { ask } = await asking(t, (app) => app.get('/', { config: { cache: policy } }, async (_request, reply) => {
      reply.header(name, value)
      return { a: 1 }
    }))
    for (const state of ['MISS', 'HIT']) {
      const { headers } = await ask()
      t.equal(cached(headers), state)
      t.equal(headers[name], value)
      if (name === 'expires') t.notOk(headers['cache-control'])
    }
  })
}

t.test('a client that revalidates gets a 304, and the new response after a write', async (t) => {
  let version = 1
  const { ask } = await asking(t, (app) => {
    app.get('/', { config: { cache: policy } }, async () => ({ version }))
    app.post('/', { config: { cache: { invalidate: 'clients' } } }, async () => ({ version: ++version }))
  })
  const { headers } = await ask()
  const etag = headers.etag!
  t.equal((await ask('/', { 'if-none-match': etag })).status, 304)
  await ask('/', {}, 'POST')
  const after = await ask('/', { 'if-none-match': etag })
  t.equal(after.status, 200)
  t.equal(after.text, '{"version":2}')
})
