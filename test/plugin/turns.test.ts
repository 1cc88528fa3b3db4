import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import t from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { fileRedis, inRedis } from '../support/each-store.js'
import { serving } from '../support/serving.js'

const redis = fileRedis()
const cache = { namespace: 'turns', expire: 60 }

const stores: Record<string, () => ApiCacheOptions> = {
  memory: () => ({ store: 'memory' }),
  'a tracked local tier': () => ({ ...inRedis(redis()), local: { consistency: 'tracked' } })
}

for (const [store, options] of Object.entries(stores)) {
  t.test(`HITs of one turn of the event loop are sent after all its requests have arrived: from ${store}`, async (t) => {
    const events: string[] = []
    const { app, request } = await serving(t, options(), (app) => {
      // Behind an async hook the lookup would come after both requests anyway.
      app.addHook('onRequest', ({ url }, _reply, done) => {
        events.push(`${url} came`)
        done()
      })
      app.addHook('onSend', ({ url }, _reply, payload, done) => {
        events.push(`${url} leaves`)
        done(null, payload)
      })
      app.get('/:name', { config: { cache } }, async () => 'any')
    })
    for (const path of ['/a', '/b', '/a', '/b']) {
      await request(path)
      await app.apiCache.settled()
    }
    events.length = 0
    const { hits } = app.apiCache.stats()

    // What one read of a socket brings comes in one turn.
    const { port } = app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1').resume()
    const host = `host: 127.0.0.1:${port}`
    socket.write(`GET /a HTTP/1.1\r\n${host}\r\n\r\nGET /b HTTP/1.1\r\n${host}\r\nconnection: close\r\n\r\n`)
    await once(socket, 'close')
    t.equal(app.apiCache.stats().hits, hits + 2)
    t.same(events, ['/a came', '/b came', '/a leaves', '/b leaves'])
  })
}
