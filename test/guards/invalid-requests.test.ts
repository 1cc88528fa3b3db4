import type { FastifyInstance } from 'fastify'
import { asking, cached, cacheStatus } from '../http/ask.js'
import { eachStore } from '../support/each-store.js'

const test = eachStore()
const querystring = { type: 'object', properties: { page: { type: 'integer' } } }

/** A route that answers for invalid requests itself. */
function declare (serveFrom: 'handler' | 'onRequest') {
  return (app: FastifyInstance): void => {
    app.get<{ Querystring: { page?: number } }>('/', {
      attachValidation: true,
      schema: { querystring },
      config: { cache: { namespace: 'n', expire: 60, serveFrom, key: () => 'one' } }
    }, async (request) => request.validationError ? { error: 'who are you?' } : { page: request.query.page ?? 1 })
  }
}

test('a request that fails validation neither fills the cache nor gets a HIT', async (t, options) => {
  const { ask } = await asking(t, declare('handler'), options)
  const invalid = async (): Promise<void> => {
    const { text, headers } = await ask('/?page=none')
    t.equal(text, '{"error":"who are you?"}')
    t.equal(cached(headers), 'MISS')
    t.match(cacheStatus(headers), 'fwd=bypass;detail=validation')
  }
  await invalid()
  t.match(await ask('/'), { text: '{"page":1}', headers: { 'x-api-cache': 'MISS' } })
  t.match(await ask('/'), { text: '{"page":1}', headers: { 'x-api-cache': 'HIT' } })
  await invalid()
})

test("a request that fails validation fills nothing with serveFrom: 'onRequest' either", async (t, options) => {
  const { ask } = await asking(t, declare('onRequest'), options)
  t.equal((await ask('/?page=none')).text, '{"error":"who are you?"}')
  t.match(await ask('/'), { text: '{"page":1}', headers: { 'x-api-cache': 'MISS' } })
  t.match(await ask('/'), { text: '{"page":1}', headers: { 'x-api-cache': 'HIT' } })
})
