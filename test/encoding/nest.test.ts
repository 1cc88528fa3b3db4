import { Get } from '@nestjs/common'
import { Cached, type ApiCacheModuleOptions } from '../../lib/nest/index.js'
import { ask } from '../http/ask.js'
import { controller, nest } from '../nest/application.js'
import { eachTier } from '../support/each-store.js'
import { codingOf, kept, plainOf, rows, text } from './encoded.js'

const test = eachTier()

for (const storeCompressed of [false, true]) {
  test(`a route of NestJS is answered in a coding, ${storeCompressed ? 'kept only so' : 'beside the plain body'}`, async (t, options) => {
    const cached = Cached({ namespace: 'cats', expire: 60, scope: 'shared', compress: true, storeCompressed })
    const cats = controller('cats', { all: { decorators: [Get(), cached], run: () => rows } })
    const { app, fastify } = await nest(t, options as ApiCacheModuleOptions, { controllers: [cats] })
    const url = `${await app.getUrl()}/cats`
    for (const state of ['MISS', 'HIT', 'HIT', 'HIT']) {
      for (const coding of ['br', 'identity']) {
        const answered = await ask(url, { 'accept-encoding': coding })
        await fastify.apiCache.settled()
        t.equal(codingOf(answered), coding)
        t.equal(plainOf(answered), text)
        t.equal(answered.headers.vary, 'accept-encoding')
        if (coding === 'br') t.equal(answered.headers['x-api-cache'], state)
      }
    }
    t.same((await ask(url, { 'accept-encoding': 'br' })).bytes, kept.br(text))
  })
}
