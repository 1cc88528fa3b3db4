import t from 'tap'
import { asking, cached, cacheStatus } from './ask.js'

interface Row {
  headers: Record<string, string>
  /** How a request with these headers is answered while an entry of age 10 has 90 seconds left. */
  with: 'HIT' | 'MISS'
  /** The same without any entry. */
  without?: number
  /** Whether the answer to it is stored. */
  stores?: boolean
}

const rows: Record<string, Row> = {
  'lack of Cache-Control allows a stored response': { headers: {}, with: 'HIT' },
  'no-store bypasses the cache': { headers: { 'cache-control': 'no-store' }, with: 'MISS', stores: false },
  'no-cache runs the handler again': { headers: { 'cache-control': 'no-cache' }, with: 'MISS', stores: true },
  'Pragma: no-cache counts as no-cache': { headers: { pragma: 'no-cache' }, with: 'MISS', stores: true },
  'Pragma has no effect together with Cache-Control': { headers: { pragma: 'no-cache', 'cache-control': 'max-age=50' }, with: 'HIT' },
  'max-age accepts a response that is not older': { headers: { 'cache-control': 'max-age=50' }, with: 'HIT' },
  'max-age refuses a response that is older': { headers: { 'cache-control': 'max-age=5' }, with: 'MISS', stores: true },
  'max-age=0 runs the handler again': { headers: { 'cache-control': 'max-age=0' }, with: 'MISS', stores: true },
  'invalid max-age runs the handler again': { headers: { 'cache-control': 'max-age=soon' }, with: 'MISS', stores: true },
  'min-fresh accepts a response that stays fresh for that long': { headers: { 'cache-control': 'min-fresh=80' }, with: 'HIT' },
  'min-fresh refuses a response that does not': { headers: { 'cache-control': 'min-fresh=95' }, with: 'MISS', stores: true },
  'max-stale has no effect, as no stale response is kept': { headers: { 'cache-control': 'max-stale' }, with: 'HIT' },
  'only-if-cached gets a stored response, or 504': { headers: { 'cache-control': 'only-if-cached' }, with: 'HIT', without: 504 },
  'only-if-cached with no-cache gets 504': { headers: { 'cache-control': 'only-if-cached, no-cache' }, with: 'MISS', without: 504, stores: false },
  'no-transform has no effect': { headers: { 'cache-control': 'no-transform' }, with: 'HIT' }
}

for (const [sentence, row] of Object.entries(rows)) {
  for (const requestDirectives of ['obey', 'ignore'] as const) {
    const obeyed = requestDirectives === 'obey'
    t.test(`a request's ${sentence}${obeyed ? '' : ': not if request directives are ignored'}`, async (t) => {
      let runs = 0
      const { ask } = await asking(t, (app) => app.get('/:id', {
        config: { cache: { namespace: 'requests', expire: 100, requestDirectives } }
      }, async (_request, reply) => {
        runs++
        reply.header('age', '10')
        return { runs }
      }))

      await ask('/a')
      const second = await ask('/a', row.headers)
      const expected = obeyed ? row.with : 'HIT'
      t.equal(cached(second.headers), expected)
      if (expected === 'MISS') t.match(cacheStatus(second.headers), /fwd=(request|bypass)/)
      const third = await ask('/a')
      t.equal(cached(third.headers), 'HIT')
      if (second.status === 200) t.equal(third.text, obeyed && row.stores === true ? '{"runs":2}' : '{"runs":1}')

      const before = runs
      const alone = await ask('/b', row.headers)
      t.equal(alone.status, obeyed ? row.without ?? 200 : 200)
      t.equal(runs - before, alone.status === 200 ? 1 : 0)
    })
  }
}
