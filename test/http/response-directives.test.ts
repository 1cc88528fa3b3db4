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
  'no Cache-Control leaves it to expire': { headers: {}, second: 'HIT', because: 60 },
  'no-store is not stored': { headers: { 'cache-control': 'no-store' }, second: 'MISS', because: 'no-store' },
  'no-store counts in any case and beside others': { headers: { 'cache-control': 'max-age=5, No-Store' }, second: 'MISS', because: 'no-store' },
  'no-store with a value still counts': { headers: { 'cache-control': 'no-store=1' }, second: 'MISS', because: 'no-store' },
  'private is not stored': { headers: { 'cache-control': 'private, max-age=5' }, second: 'MISS', because: 'private' },
  'private with field names is not stored': { headers: { 'cache-control': 'private="x-user"' }, second: 'MISS', because: 'private' },
  'no-cache is not stored': { headers: { 'cache-control': 'no-cache' }, second: 'MISS', because: 'no-cache' },
  'no-cache with field names is not stored': { headers: { 'cache-control': 'no-cache="x-user"' }, second: 'MISS', because: 'no-cache' },
  'max-age wins over expire': { headers: { 'cache-control': 'max-age=500' }, second: 'HIT', because: 500 },
  'max-age wins over Expires': { headers: () => ({ 'cache-control': 'max-age=500', expires: ahead(20) }), second: 'HIT', because: 500 },
  'max-age=0 is not stored': { headers: { 'cache-control': 'max-age=0' }, second: 'MISS', because: 'expired' },
  's-maxage wins over max-age': { headers: { 'cache-control': 'max-age=0, s-maxage=30' }, second: 'HIT', because: 30 },
  's-maxage=0 is not stored': { headers: { 'cache-control': 'max-age=30, s-maxage=0' }, second: 'MISS', because: 'expired' },
  'must-revalidate changes nothing while it is fresh': { headers: { 'cache-control': 'max-age=30, must-revalidate' }, second: 'HIT', because: 30 },
  'proxy-revalidate changes nothing while it is fresh': { headers: { 'cache-control': 'max-age=30, proxy-revalidate' }, second: 'HIT', because: 30 },
  'public leaves it to expire': { headers: { 'cache-control': 'public' }, second: 'HIT', because: 60 },
  'immutable leaves it to expire': { headers: { 'cache-control': 'immutable' }, second: 'HIT', because: 60 },
  'stale-while-revalidate adds nothing': { headers: { 'cache-control': 'max-age=0, stale-while-revalidate=60' }, second: 'MISS', because: 'expired' },
  'stale-if-error adds nothing': { headers: { 'cache-control': 'max-age=0, stale-if-error=60' }, second: 'MISS', because: 'expired' },
  'no-transform changes nothing': { headers: { 'cache-control': 'no-transform' }, second: 'HIT', because: 60 },
  'an unknown directive changes nothing': { headers: { 'cache-control': 'max-age=30, ext="no-store, \\"private"' }, second: 'HIT', because: 30 },
  'a quoted max-age counts': { headers: { 'cache-control': 'max-age="30"' }, second: 'HIT', because: 30 },
  'the same max-age twice counts once': { headers: { 'cache-control': ['max-age=30', 'max-age=30'] }, second: 'HIT', because: 30 },
  'two max-ages that differ are stale': { headers: { 'cache-control': 'max-age=30, max-age=60' }, second: 'MISS', because: 'expired' },
  'two max-ages that differ on lines of their own are stale': { headers: { 'cache-control': ['max-age=30', 'max-age=60'] }, second: 'MISS', because: 'expired' },
  'a negative max-age is stale': { headers: { 'cache-control': 'max-age=-1' }, second: 'MISS', because: 'expired' },
  'a max-age in single quotes is stale': { headers: { 'cache-control': "max-age='30'" }, second: 'MISS', because: 'expired' },
  'a max-age with a fraction is stale': { headers: { 'cache-control': 'max-age=30.5' }, second: 'MISS', because: 'expired' },
  'a max-age without a value is stale': { headers: { 'cache-control': 'max-age' }, second: 'MISS', because: 'expired' },
  'a max-age of centuries is a year': { headers: { 'cache-control': 'max-age=99999999999' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'a directive is heard behind what is none': { headers: { 'cache-control': ',, ="x", no-store' }, second: 'MISS', because: 'no-store' },
  'Expires wins over expire': { headers: () => ({ expires: ahead(500), date: ahead(0) }), second: 'HIT', because: 500 },
  'Expires in the past is not stored': { headers: () => ({ expires: ago(5) }), second: 'MISS', because: 'expired' },
  'an invalid Expires is stale': { headers: { expires: '0' }, second: 'MISS', because: 'expired' },
  'an Expires in another time zone is stale': { headers: { expires: 'Thu, 18 Aug 2050 02:01:18 UTC' }, second: 'MISS', because: 'expired' },
  'an Expires in the form of RFC 850 counts': { headers: { expires: 'Thursday, 18-Aug-50 02:01:18 GMT' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'an Expires in the form of asctime counts': { headers: { expires: 'Thu Aug 18 02:01:18 2050' }, second: 'HIT', because: ONE_YEAR_IN_SECONDS },
  'Age counts against max-age': { headers: { 'cache-control': 'max-age=100', age: '60' }, second: 'HIT', because: 40 },
  'Age counts against expire': { headers: { age: '20' }, second: 'HIT', because: 40 },
  'an Age beyond max-age is not stored': { headers: { 'cache-control': 'max-age=100', age: '100' }, second: 'MISS', because: 'expired' },
  'an Age that is not whole seconds is none': { headers: { age: '20.0' }, second: 'HIT', because: 60 },
  'an old Date is an age': { headers: () => ({ 'cache-control': 'max-age=100', date: ago(60) }), second: 'HIT', because: 40 },
  'an invalid Date is none': { headers: { date: 'yesterday' }, second: 'HIT', because: 60 },
  'CDN-Cache-Control is for others': { headers: { 'cdn-cache-control': 'no-store' }, second: 'HIT', because: 60 },
  'Surrogate-Control is for others': { headers: { 'surrogate-control': 'no-store' }, second: 'HIT', because: 60 },
  'Pragma of a response says nothing': { headers: { pragma: 'no-cache' }, second: 'HIT', because: 60 },
  'Vary: * is not stored': { headers: { vary: '*' }, second: 'MISS', because: 'vary-any' },
  'Vary: * among others is not stored': { headers: { vary: 'accept, *' }, second: 'MISS', because: 'vary-any' },
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
  t.test(`an answer that a hook sends on with ${directive} is not stored`, async (t) => {
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
