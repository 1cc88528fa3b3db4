import Fastify from 'fastify'
import apiCache from '../../index.js'
import { ask } from '../http/ask.js'
import { eachTier } from '../support/each-store.js'
import { gate } from '../support/gate.js'

const test = eachTier()
const config = { cache: { namespace: 'n', expire: 60, clientExpire: '1h', scope: 'shared' } } as const

test('a handlerTimeout that fires during an onSend hook gives a 503 without the body and its freshness', async (t, options) => {
  const slow = gate()
  const app = Fastify({ handlerTimeout: 100 })
  t.teardown(() => app.close())
  await app.register(apiCache, options)
  app.addHook('onSend', async (_request, _reply, payload) => {
    // Not the 503: on a busy machine it may be sent before the handler's answer.
    if (payload === '{"secret":"top"}') await slow.opened
    return payload
  })
  app.get('/', { config }, async () => ({ secret: 'top' }))
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const { status, text, headers } = await ask(`${origin}/`)
  t.equal(status, 503)
  t.notMatch(text, 'secret')
  t.notOk(headers['cache-control'])
  t.notOk(headers.etag)
  slow.open()
  t.match(await ask(`${origin}/`), { status: 200, text: '{"secret":"top"}' })
})
