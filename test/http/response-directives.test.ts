import t from 'tap'
import { ONE_YEAR_IN_SECONDS } from '../../index.js'
import { asking, cached, cacheStatus } from './ask.js'

const config = { cache: { namespace: 'directives', expire: 60 } }

type Given = Record<string, string | string[]>

interface Row {
  headers: Given | (() => Given)
  /** How the second of two requests is answered. */
  second: 'HIT' | 'MISS'
  /** The seconds of freshness left then, or why the answer was not stored. */
  because: number | string
}

const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toUTCString()
const ahead = (seconds: number): string => ago(-seconds)

const rows: Record<string, Row> = {
  'lack of Cache-Control means that the policy\'s expire applies': { headers: {}, second: 'HIT', because: 60 },
  'no-store is not stored': { headers: { 'cache-control': 'no-store' }, second: 'MISS', because: 'no-store' },
  'no-store counts in upper or lower case and with other directives': { headers: { 'cache-control': 'max-age=5, No-Store' }, second: 'MISS', because: 'no-store' },
  'no-store with a value still counts': { headers: { 'cache-control': 'no-store=1' }, second: 'MISS', because: 'no-store' },
  'private is not stored': { headers: { 'cache-control': 'private, max-age=5' }, second: 'MISS', because: 'private' },
  'private with field names is not stored': { headers: { 'cache-control': 'private="x-user"' }, second: 'MISS', because: 'private' },
  'no-cache is not stored': { headers: { 'cache-control': 'no-cache' }, second: 'MISS', because: 'no-cache' },
  'no-cache with field names is not stored': { headers: { 'cache-control': 'no-cache="x-user"' }, second: 'MISS', because: 'no-cache' },
  'max-age overrides expire': { headers: { 'cache-control': 'max-age=500' }, second: 'HIT', because: 500 },
  'max-age overrides Expires': { headers: () => ({ 'cache-control': 'max-age=500', expires: ahead(20) }), second: 'HIT', because: 500 },
  'max-age=0 is not stored': { headers: { 'cache-control': 'max-age=0' }, second: 'MISS', because: 'expired' },
  's-maxage overrides max-age': { headers: { 'cache-control': 'max-age=0, s-maxage=30' }, second: 'HIT', because: 30 },
  's-maxage=0 is not stored': { headers: { 'cache-control': 'max-age=30, s-maxage=0' }, second: 'MISS', because: 'expired' },
  'must-revalidate has no effect while the response is fresh': { headers: { 'cache-control': 'max-age=30, must-revalidate' }, second: 'HIT', because: 30 },
  'proxy-revalidate has no effect while the response is fresh': { headers: { 'cache-control': 'max-age=30, proxy-revalidate' }, second: 'HIT', because: 30 },
  'public has no effect, so the policy\'s expire applies': { headers: { 'cache-control': 'public' }, second: 'HIT', because: 60 },
  'immutable has no effect, so the policy\'s expire applies': { headers: { 'cache-control': 'immutable' }, second: 'HIT', because: 60 },
  'stale-while-revalidate has no effect': { headers: { 'cache-control': 'max-age=0, stale-while-revalidate=60' }, second: 'MISS', because: 'expired' },
  'stale-if-error has no effect': { headers: { 'cache-control': 'max-age=0, stale-if-error=60' }, second: 'MISS', because: 'expired' },
  'no-transform has no effect': { headers: { 'cache-control': 'no-transform' }, second: 'HIT', because: 60 },
  'unknown directive has no effect': { headers: { 'cache-control': 'max-age=30, ext="no-store, \\"private"' }, second: 'HIT', because: 30 },
  'quoted max-age counts': { headers: { 'cache-control': 'max-age="30"' }, second: 'HIT', because: 30 },
  'repeated max-age counts once if both are equal': { headers: { 'cache-control': ['max-age=30', 'max-age=30'] }, second: 'HIT', because: 30 },
  'two different values of max-age make it stale': { headers: { 'cache-control': 'max-age=30, max-age=60' }, second: 'MISS', because: 'expired' },
  'two different values of max-age on separate lines make it stale': { headers: { 'cache-control': ['max-age=30', 'max-age=60'] }, second: 'MISS', because: 'expired' },
  'negative max-age makes it stale': { headers: { 'cache-control': 'max-age=-1' }, second: 'MISS', because: 'expired' },
  'max-age in single quotes makes it stale': { headers: { 'cache-control': "max-age='30'" }, second: 'MISS', because: 'expired' },
  'max-age with a fraction makes it stale': { headers: { 'cache-control': 'max-age=30.5' }, second: 'MISS', because: 'expired' },
  'max-age without a value makes it stale': { headers: { 'cache-control': 'max-age' }, second: 'MISS', because: 'expired' },
  'max-age of centuries counts as a year': { headers: { 'cache-control': 'max-age=99999999999' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'directive counts after text that is not a directive': { headers: { 'cache-control': ',, ="x", no-store' }, second: 'MISS', because: 'no-store' },
  'Expires overrides expire': { headers: () => ({ expires: ahead(500), date: ahead(0) }), second: 'HIT', because: 500 },
  'Expires in the past is not stored': { headers: () => ({ expires: ago(5) }), second: 'MISS', because: 'expired' },
  'invalid Expires makes it stale': { headers: { expires: '0' }, second: 'MISS', because: 'expired' },
  'Expires in another time zone makes it stale': { headers: { expires: 'Thu, 18 Aug 2050 02:01:18 UTC' }, second: 'MISS', because: 'expired' },
  'Expires in the format of RFC 850 counts': { headers: { expires: 'Thursday, 18-Aug-50 02:01:18 GMT' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'Expires in the format of asctime counts': { headers: { expires: 'Thu Aug 18 02:01:18 2050' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'Age counts against max-age': { headers: { 'cache-control': 'max-age=100', age: '60' }, second: 'HIT', because: 40 },
  'Age counts against expire': { headers: { age: '20' }, second: 'HIT', because: 40 },
  'Age that reaches max-age is not stored': { headers: { 'cache-control': 'max-age=100', age: '100' }, second: 'MISS', because: 'expired' },
  'Age that is not whole seconds is ignored': { headers: { age: '20.0' }, second: 'HIT', because: 60 },
  'old Date counts as an age': { headers: () => ({ 'cache-control': 'max-age=100', date: ago(60) }), second: 'HIT', because: 40 },
  'invalid Date is ignored': { headers: { date: 'yesterday' }, second: 'HIT', because: 60 },
  'CDN-Cache-Control has no effect here': { headers: { 'cdn-cache-control': 'no-store' }, second: 'HIT', because: 60 },
  'Surrogate-Control has no effect here': { headers: { 'surrogate-control': 'no-store' }, second: 'HIT', because: 60 },
  'Pragma has no effect': { headers: { pragma: 'no-cache' }, second: 'HIT', because: 60 },
  'Vary: * is not stored': { headers: { vary: '*' }, second: 'MISS', because: 'vary-any' },
  'Vary: * with other fields is not stored': { headers: { vary: 'accept, *' }, second: 'MISS', because: 'vary-any' },
  'Set-Cookie is not stored': { headers: { 'set-cookie': 'a=b' }, second: 'MISS', because: 'set-cookie' }
}

for (const [sentence, { headers: given, second, because }] of Object.entries(rows)) {
  t.test(`a response's ${sentence}`, async (t) => {
    const headers = typeof given === 'function' ? given() : given
    let runs = 0
    const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
      runs++
      reply.headers(headers)
      return { runs }
    }))
    const first = await ask()
    t.equal(cached(first.headers), 'MISS')
    const again = await ask()
    t.equal(cached(again.headers), second)
    t.equal(again.text, `{"runs":${second === 'HIT' ? 1 : 2}}`)
    if (typeof because === 'string') {
      t.match(cacheStatus(first.headers), `detail=${because}`)
    } else {
      const ttl = Number(/ttl=(\d+)/.exec(cacheStatus(again.headers)!)?.[1])
      t.ok(ttl <= because && ttl >= because - 5, `${ttl} seconds left of ${because}`)
    }
    for (const name of Object.keys(headers)) {
      if (['age', 'set-cookie'].includes(name)) continue
      t.same(again.headers[name], [headers[name]].flat().join(', '), name)
    }
  })
}

for (const directive of ['no-store', 'private', 'no-cache, private']) {
  t.test(`a response to which a hook adds ${directive} is not stored`, async (t) => {
    const { ask } = await asking(t, (app) => {
      app.addHook('onSend', async (request, reply) => {
        if (request.headers['x-forbids'] !== undefined) reply.header('cache-control', directive)
      })
      app.get('/', { config }, async () => 'answer')
    })
    const forbidden = await ask('/', { 'x-forbids': '1' })
    t.equal(forbidden.headers['cache-control'], directive)
    t.equal(cached((await ask()).headers), 'MISS')
    t.equal(cached((await ask()).headers), 'HIT')
  })
}
