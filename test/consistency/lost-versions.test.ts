import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { fileRedis } from '../support/each-store.js'
import { serving, type Serving } from '../support/serving.js'

const redis = fileRedis()
let client: Redis
t.before(() => { client = new Redis(redis().url) })
t.teardown(() => { client.disconnect() })

const PATHS = ['/things', '/labels']

/** One value behind a tag of the request and behind one of the payload. */
async function things (t: Test): Promise<Serving & { value (): number }> {
  await client.flushall()
  let value = 0
  const server = await serving(t, { redis: redis().url, scope: 'shared', expire: '1h' }, (app) => {
    app.get('/things', { config: { cache: { namespace: 'things', tags: () => ['thing'] } } }, async () => ({ value }))
    app.get('/labels', { config: { cache: { namespace: 'things', tags: (_request, payload) => [(payload as { label: string }).label] } } },
      async () => ({ value, label: 'red' }))
    app.post('/namespace', { config: { cache: { invalidate: 'things' } } }, async () => ({ value: ++value }))
    app.post('/tags', { config: { cache: { invalidateTags: ['thing', 'red'] } } }, async () => ({ value: ++value }))
  })
  return { ...server, value: () => value }
}

const forget = async (pattern: string): Promise<void> => {
  await client.del(await client.keys(pattern))
}

/** What may get lost, and whether entries live on without it. */
const losses: Record<string, { lose: () => Promise<unknown>, remain: boolean }> = {
  FLUSHALL: { lose: () => client.flushall(), remain: false },
  'the namespace\'s version': { lose: () => forget('*!version:*'), remain: false },
  'the versions of the tags': { lose: () => forget('*!tag:*'), remain: false },
  'the versions of all groups of tags': { lose: () => forget('*!tags:*'), remain: true }
}

for (const [what, { lose, remain }] of Object.entries(losses)) {
  t.test(`the loss of ${what} ${remain ? 'leaves entries as they are' : 'makes entries unreachable'}`, async (t) => {
    const { app, request } = await things(t)
    for (const path of PATHS) await request(path)
    await app.apiCache.settled()
    for (const path of PATHS) t.equal((await request(path)).cache, 'HIT')
    await lose()
    for (const path of PATHS) t.equal((await request(path)).cache, remain ? 'HIT' : 'MISS')
  })

  for (const write of ['/namespace', '/tags']) {
    t.test(`after ${write} no loss of ${what} makes an earlier entry valid again, even if it is written again`, async (t) => {
      const { app, request, value } = await things(t)
      for (const path of PATHS) await request(path)
      await app.apiCache.settled()
      const old = new Map<string, Buffer>()
      for (const key of await client.keys('api-cache|*')) old.set(key, (await client.dumpBuffer(key))!)
      t.equal(old.size, 2)

      await request(write, { method: 'POST' })
      for (let round = 0; round < 3; round++) {
        // As a fill would that took that long.
        for (const [key, frame] of old) await client.restore(key, 0, frame, 'REPLACE')
        for (const path of PATHS) t.match(JSON.parse((await request(path)).text), { value: value() })
        await app.apiCache.settled()
        for (const [key, frame] of old) await client.restore(key, 0, frame, 'REPLACE')
        await lose()
        for (const path of PATHS) t.match(JSON.parse((await request(path)).text), { value: value() })
      }
    })
  }
}
