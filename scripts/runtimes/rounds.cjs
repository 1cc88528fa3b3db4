// What a server on another runtime must do, over sockets and with each store.
const { deepEqual, equal, ok } = require('node:assert/strict')
const { get } = require('node:http')
const { gunzipSync } = require('node:zlib')

const text = 'a text that is worth encoding, '.repeat(100)

exports.rounds = async function rounds ({ fastify, apiCache, createClient }, redisUrl) {
  const stores = {
    memory: { store: 'memory' },
    'Redis by ioredis': { redis: redisUrl },
    'Redis by node-redis': { redis: createClient({ url: redisUrl }) },
    'the strict tier': { redis: redisUrl, local: true },
    'the tracked tier': { redis: redisUrl, local: { consistency: 'tracked' } }
  }
  let number = 0
  for (const [name, options] of Object.entries(stores)) {
    await round(fastify(), apiCache, { prefix: `round-${++number}`, timeout: 5_000, ...options })
    console.log(`ok ${name}`)
  }
}

async function round (app, apiCache, options) {
  await app.register(apiCache, options)
  let runs = 0
  const cache = { namespace: 'n', expire: '1h', compress: ['gzip'] }
  app.get('/value', { config: { cache } }, async () => ({ run: ++runs, text }))
  app.get('/fleet', { config: { cache: { ...cache, coalesce: 'fleet' } } }, async () => ({ run: ++runs, text }))
  app.put('/value', { config: { cache: { invalidate: 'n' } } }, async () => ({ written: true }))
  app.delete('/value', { config: { cache: { invalidate: 'n', strict: true } } }, async () => ({ written: true }))
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })

  async function ask (path, method = 'GET') {
    const response = await fetch(`${origin}${path}`, { method })
    equal(response.status, 200)
    return { cache: response.headers.get('x-api-cache'), ...await response.json() }
  }

  async function write (method) {
    equal((await ask('/value', method)).written, true)
  }

  async function filled (path, run) {
    let answer = await ask(path)
    // The notice of a write may still be on its way.
    while (answer.cache === 'HIT' && options.local?.consistency === 'tracked') answer = await ask(path)
    deepEqual([answer.cache, answer.run], ['MISS', run])
    await app.apiCache.settled()
  }

  for (const path of ['/value', '/fleet']) {
    for (const method of ['PUT', 'DELETE']) {
      await filled(path, runs + 1)
      deepEqual(await ask(path), { cache: 'HIT', run: runs, text })
      await write(method)
      await filled(path, runs + 1)
      await encoded(`${origin}${path}`, runs)
      await write(method)
    }
  }
  await app.close()
}

// Without `fetch`, which decodes.
async function encoded (url, run) {
  const [response, bytes] = await new Promise((resolve, reject) => {
    get(url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
      const chunks = []
      response.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve([response, Buffer.concat(chunks)])).on('error', reject)
    }).on('error', reject)
  })
  equal(response.headers['x-api-cache'], 'HIT')
  equal(response.headers['content-encoding'], 'gzip')
  ok(bytes.length < text.length / 4)
  equal(JSON.parse(gunzipSync(bytes)).run, run)
}
