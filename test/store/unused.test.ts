import { Redis } from 'ioredis'
import t from 'tap'
import { fileRedis, inRedis } from '../support/each-store.js'
import { serving } from '../support/serving.js'

const redis = fileRedis()
let client: Redis
t.before(() => { client = new Redis(redis().url) })
t.teardown(() => { client.disconnect() })

const TEN_MINUTES = 600
const A_YEAR = 31_536_000
const life = (tag: string): Promise<number> => client.keys(`*!tag:*${tag}`).then(([key]) => client.ttl(key!))

t.test('a version whose name came from a request lives for a year only if a response is stored under it', async (t) => {
  const { app, request } = await serving(t, inRedis(redis()), (app) => {
    app.get<{ Params: { name: string } }>('/:name', {
      config: { cache: { namespace: 'names', expire: '1h', tags: (request) => [(request.params as { name: string }).name] } }
    }, async ({ params: { name } }, reply) => reply.code(name === 'missing' ? 404 : 200).send(name))
    app.post('/', { config: { cache: { invalidateTags: 'settling', settle: '1m' } } }, async () => 'written')
  })
  for (const name of ['missing', 'there']) await request(`/${name}`)
  await app.apiCache.settled()
  const unused = await life('missing')
  t.ok(unused > 0 && unused <= TEN_MINUTES, `${unused} s`)
  t.ok(await life('there') > A_YEAR - TEN_MINUTES)
  t.equal((await request('/there')).cache, 'HIT')

  await app.apiCache.invalidateTags('there')
  t.equal((await request('/there')).cache, 'MISS')
  await app.apiCache.settled()
  t.ok(await life('there') > A_YEAR - TEN_MINUTES, 'the version after a bump, too')

  await request('/', { method: 'POST' })
  await request('/settling')
  await app.apiCache.settled()
  t.ok(await life('settling') <= 60, 'the version of a window ends with it')
})
