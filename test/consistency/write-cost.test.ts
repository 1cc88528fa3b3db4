import { Redis } from 'ioredis'
import t from 'tap'
import { commands } from '../support/commands.js'
import { fileRedis } from '../support/each-store.js'
import { serving } from '../support/serving.js'

/** `OTHER_KEYS=1000000` for the measure; the fewer show the same. */
const OTHER_KEYS = Number(process.env['OTHER_KEYS'] ?? 100_000)
const WRITES = 40

const redis = fileRedis()

t.test('the response to a write takes the same time and commands, however many keys Redis holds', async (t) => {
  const client = new Redis(redis().url)
  t.teardown(() => { client.disconnect() })
  const { app, request } = await serving(t, { redis: redis().url, sweepShare: 1 }, (app) => {
    app.get('/warm', async () => 'ok')
    app.get('/things', { config: { cache: { namespace: 'things', expire: 60 } } }, async () => 'things')
    app.post('/things', { config: { cache: { invalidate: 'things' } } }, async () => ({ ok: true }))
  })
  const median = async (): Promise<number> => {
    const took: number[] = []
    for (let write = 0; write < WRITES; write++) {
      // After the long sweep everything else is cold, too.
      for (let warm = 0; warm < 5; warm++) await request('/warm')
      const began = performance.now()
      await request('/things', { method: 'POST' })
      took.push(performance.now() - began)
      await app.apiCache.settled()
    }
    return took.sort((a, b) => a - b)[WRITES / 2]!
  }
  const moves = async (): Promise<string[]> =>
    (await commands(redis().port, async () => {
      await request('/things', { method: 'POST' })
      await app.apiCache.settled()
    })).filter((command) => !['scan', 'mget'].includes(command))

  // A write creates no version.
  await request('/things')
  await median()
  const before = { median: await median(), commands: await moves() }
  await client.eval("for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, i) end", 0, OTHER_KEYS)
  t.equal(await client.dbsize(), OTHER_KEYS + 1)
  const after = { median: await median(), commands: await moves() }
  t.comment(`0 other keys: ${before.median.toFixed(2)} ms, ${OTHER_KEYS}: ${after.median.toFixed(2)} ms (medians of ${WRITES})`)
  t.same(after.commands, before.commands)
  t.ok(after.median < before.median * 3 + 5, 'about the same time')
})
