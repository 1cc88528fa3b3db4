import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { startRedis } from '../support/redis-server.js'
import { startExample, type Example } from './example.js'

const USERS = '/users'
const READS = [USERS, '/users/42', '/posts', '/posts?search=lantern%20harbour', '/posts/7', '/images/7']

interface Answer {
  cache: string | null
  status: number
  type: string | null
  body: Buffer
}

async function read ({ url }: Example, path: string): Promise<Answer> {
  const response = await fetch(new URL(path, url))
  return {
    cache: response.headers.get('x-api-cache'),
    status: response.status,
    type: response.headers.get('content-type'),
    body: Buffer.from(await response.arrayBuffer())
  }
}

async function write ({ url }: Example, method: string, path: string, body?: object): Promise<number> {
  const response = await fetch(new URL(path, url), {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  })
  await response.arrayBuffer()
  return response.status
}

async function json<T> (example: Example, path: string): Promise<T> {
  return JSON.parse((await read(example, path)).body.toString()) as T
}

/** Those of the reads that the cache does not answer; afterwards it answers all. */
async function misses (example: Example): Promise<string[]> {
  const missed: string[] = []
  for (const path of READS) {
    if ((await read(example, path)).cache === 'MISS') missed.push(path)
  }
  return missed
}

async function mainJob (t: Test, example: Example, store: string): Promise<void> {
  await t.test('it logs where the page is and which store it uses, and both are true', async (t) => {
    t.match(example.log.at(-1), store)
    t.match(await json(example, '/cache/stats'), { store, available: true })
    t.match(await read(example, '/'), { status: 200, type: /^text\/html/ })
    t.same(await json(example, '/health'), { status: 'ok' })
    t.equal((await read(example, '/health')).cache, null)
  })

  await t.test('a first GET is a MISS and a second one a HIT with the same bytes, status and content type', async (t) => {
    for (const path of READS) {
      const { cache: first, ...miss } = await read(example, path)
      const { cache: second, ...hit } = await read(example, path)
      t.same([first, second], ['MISS', 'HIT'], path)
      t.same(hit, miss)
      t.equal(hit.status, 200)
      t.ok(hit.body.length > 100)
    }
    t.match(await read(example, '/images/7'), { type: 'image/svg+xml', body: /^<svg / })
    t.equal((await json<unknown[]>(example, USERS)).length, 100)
  })

  await t.test('the key of the users has the defaults of its schema, however the query is written', async (t) => {
    const keys = await json<Record<string, string[]>>(example, '/cache/keys')
    t.ok(keys['user-cache']?.some((key) => key.startsWith('api-cache|user-cache:GET /users?limit=100&skip=0 revision=~')))
    for (const query of ['?limit=100', '?skip=0&limit=100', '?limit=100&skip=00&undeclared=1']) {
      t.equal((await read(example, USERS + query)).cache, 'HIT', query)
    }
  })
}

async function writes (t: Test, example: Example): Promise<void> {
  const ofUsersAndPosts = READS.filter((path) => !path.startsWith('/images'))
  await misses(example)

  for (const [method, path, body, status, old] of [
    ['POST', '/users', { handle: 'user-new', imageId: 7 }, 201, ofUsersAndPosts],
    ['PATCH', '/users/42', { handle: 'user-renamed' }, 200, ofUsersAndPosts],
    ['DELETE', '/users/4999', undefined, 204, ofUsersAndPosts],
    ['POST', '/posts', { authorId: 42, title: 'New', body: 'New.' }, 201, ofUsersAndPosts],
    ['PUT', '/posts/7', { title: 'Changed', body: 'Changed.' }, 200, ofUsersAndPosts],
    ['POST', '/posts/7/comments', { authorId: 42, body: 'New.' }, 201, ofUsersAndPosts],
    ['DELETE', '/posts/8', undefined, 204, ofUsersAndPosts],
    ['PUT', '/images/7', { pattern: 4242 }, 200, ['/images/7']]
  ] as const) {
    await t.test(`${method} ${path} invalidates what it changed and nothing else`, async (t) => {
      t.equal(await write(example, method, path, body), status)
      t.same(await misses(example), old)
      t.same(await misses(example), [])
    })
  }

  await t.test('what was written can be read', async (t) => {
    const [newest] = await json<Array<{ handle: string }>>(example, USERS)
    t.match(newest, { handle: 'user-new' })
    t.match(await json(example, '/users/42'), { handle: 'user-renamed', latestPosts: [{ title: 'New' }] })
    t.match(await json(example, '/posts/7'), { title: 'Changed', body: 'Changed.', comments: [{ author: 'user-renamed', body: 'New.' }] })
    t.equal((await read(example, '/users/4999')).status, 404)
  })

  await t.test('a failed write invalidates nothing', async (t) => {
    t.equal(await write(example, 'PATCH', '/users/999999', { handle: 'nobody' }), 404)
    t.equal(await write(example, 'PATCH', '/users/1', { handle: 'user-0002' }), 409)
    t.equal(await write(example, 'POST', '/posts', { authorId: 999999, title: 'New', body: 'New.' }), 422)
    t.equal(await write(example, 'POST', '/users', { handle: '' }), 400)
    t.same(await misses(example), [])
  })
}

t.test('the example in memory', async (t) => {
  const example = await startExample()
  t.teardown(() => example.stop())
  t.match(example.log.join('\n'), /200 images\n.*5000 users\n.*20000 posts\n.*50000 comments\n/)
  await mainJob(t, example, 'memory')
  await writes(t, example)

  await t.test('SIGTERM ends it with exit code 0', async (t) => {
    t.equal(await example.stop('SIGTERM'), 0)
  })
})

t.test('the example on the Redis that REDIS_URL names', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const client = new Redis(redis.url)
  t.teardown(() => { client.disconnect() })
  const example = await startExample({ env: { REDIS_URL: redis.url } })
  t.teardown(() => example.stop())
  await mainJob(t, example, 'redis')

  await t.test('a write sweeps its namespaces from Redis', async (t) => {
    t.equal((await client.keys('api-cache|user-cache:*')).length, 2)
    t.equal(await write(example, 'PATCH', '/users/42', { handle: 'user-renamed' }), 200)
    // Answered when sweeps have settled.
    await json(example, '/cache/keys')
    t.same(await client.keys('api-cache|user-cache:*'), [])
    t.same(await client.keys('api-cache|post-cache:*'), [])
    t.same(await client.keys('api-cache|image-cache:*'), ['api-cache|image-cache:GET /images/7'])
    t.same(await misses(example), READS.filter((path) => !path.startsWith('/images')))
  })

  await t.test('SIGINT ends it with exit code 0', async (t) => {
    t.equal(await example.stop('SIGINT'), 0)
  })
})

t.test('the example on the Redis that REDIS_SERVER, REDIS_PORT and REDIS_PASSWORD in .env name', async (t) => {
  const redis = await startRedis({ args: ['--requirepass', 'open sesame'] })
  t.teardown(() => redis.stop())
  const example = await startExample({
    dotenv: `REDIS_SERVER=127.0.0.1\nREDIS_PORT=${redis.port}\nREDIS_PASSWORD="open sesame"\nREDIS_TIMEOUT=2\n`
  })
  t.teardown(() => example.stop())
  await mainJob(t, example, 'redis')
})
