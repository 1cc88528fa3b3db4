import { writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import multipart from '@fastify/multipart'
import replyFrom from '@fastify/reply-from'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import mercurius from 'mercurius'
import t, { type Test } from 'tap'
import apiCache from '../../index.js'
import { ask, cached } from '../http/ask.js'
import { listening } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const cache = { namespace: 'ecosystem', expire: 60 }
const config = { cache }

async function cachingApp (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(apiCache, { store: 'memory' })
  return app
}

t.test('a file that @fastify/static sends in a handler is stored whole, with its validators', async (t) => {
  const root = await temporaryFolder(t)
  await writeFile(join(root, 'file.txt'), '0123456789')
  const app = await cachingApp()
  await app.register(fastifyStatic, { root, serve: false, cacheControl: false })
  const { origin } = await listening(t, app, () => app.get('/', { config }, (_request, reply) => reply.sendFile('file.txt')))
  const miss = await ask(`${origin}/`, { range: 'bytes=0-1' })
  t.equal(miss.text, '0123456789', 'a stream on its first way is not cut')
  await app.apiCache.settled()
  const hit = await ask(`${origin}/`)
  t.equal(cached(hit.headers), 'HIT')
  t.equal(hit.text, '0123456789')
  t.match(hit.headers['content-type'], 'text/plain')
  t.equal(hit.headers.etag, miss.headers.etag)
  t.equal(hit.headers['last-modified'], miss.headers['last-modified'])
  t.equal((await ask(`${origin}/`, { 'if-modified-since': hit.headers['last-modified']! })).status, 304)
  t.equal((await ask(`${origin}/`, { range: 'bytes=2-4' })).text, '234')
})

t.test('files that @fastify/static serves on its own are not cached', async (t) => {
  const root = await temporaryFolder(t)
  await writeFile(join(root, 'file.txt'), '0123456789')
  const app = await cachingApp()
  await app.register(fastifyStatic, { root })
  const { origin } = await listening(t, app)
  const { text, headers } = await ask(`${origin}/file.txt`, { range: 'bytes=2-4' })
  t.equal(text, '234')
  t.notOk(headers['cache-status'])
})

async function upstream (t: Test, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function proxy (t: Test, base: string): Promise<{ app: FastifyInstance, origin: string }> {
  const app = await cachingApp()
  await app.register(replyFrom, { base })
  return await listening(t, app, () => app.get('/', { config }, (_request, reply) => reply.from('/')))
}

t.test('if an upstream closes early, the request fails, and nothing is stored', async (t) => {
  let well = false
  const { app, origin } = await proxy(t, await upstream(t, (_request, response) => {
    if (well) {
      response.end('0123456789')
    } else {
      response.writeHead(200, { 'content-length': '10' })
      response.write('01234', () => { response.destroy() })
    }
  }))
  await t.rejects(ask(`${origin}/`))
  await app.apiCache.settled()
  t.equal(app.apiCache.stats().stored, 0)
  well = true
  const { text, headers } = await ask(`${origin}/`)
  t.equal(text, '0123456789')
  t.equal(cached(headers), 'MISS')
})

t.test('if a chunked upstream closes early, nothing is stored', async (t) => {
  const { app, origin } = await proxy(t, await upstream(t, (_request, response) => {
    response.write('01234', () => { response.destroy() })
  }))
  await t.rejects(ask(`${origin}/`))
  await app.apiCache.settled()
  t.equal(app.apiCache.stats().stored, 0)
})

t.test('@fastify/swagger describes a route in the same way with a policy and without', async (t) => {
  const documents = await Promise.all([true, false].map(async (withPolicy) => {
    const app = await cachingApp()
    t.teardown(() => app.close())
    await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'API', version: '1' } } })
    app.get('/:id', {
      ...(withPolicy ? { config } : {}),
      schema: {
        summary: 'one',
        querystring: { type: 'object', properties: { limit: { type: 'integer', default: 10 } } },
        response: { 200: { type: 'object', properties: { id: { type: 'integer' } } } }
      }
    }, async () => ({ id: 1 }))
    app.post('/', { ...(withPolicy ? { config: { cache: { invalidate: 'ecosystem' } } } : {}), schema: { summary: 'new' } }, async () => ({}))
    await app.ready()
    return app.swagger()
  }))
  t.same(documents[0], documents[1])
  t.ok(documents[0]!.paths!['/{id}'])
})

t.test('an upload through @fastify/multipart is whole, and invalidates what it should', async (t) => {
  const app = await cachingApp()
  await app.register(multipart)
  let stored = 'none'
  const { origin } = await listening(t, app, () => {
    app.get('/', { config }, async () => stored)
    app.post('/', { config: { cache: { invalidate: 'ecosystem' } } }, async (request) => {
      stored = (await (await request.file())!.toBuffer()).toString()
      return 'done'
    })
  })
  await ask(`${origin}/`)
  const form = new FormData()
  form.set('file', new Blob(['uploaded']), 'file.txt')
  t.equal((await fetch(`${origin}/`, { method: 'POST', body: form })).status, 200)
  const { text, headers } = await ask(`${origin}/`)
  t.equal(text, 'uploaded')
  t.equal(cached(headers), 'MISS')
})

t.test('mercurius is not affected', async (t) => {
  const app = await cachingApp()
  let runs = 0
  await app.register(mercurius, { schema: 'type Query { runs: Int }', resolvers: { Query: { runs: () => ++runs } } })
  const { origin } = await listening(t, app)
  for (const run of [1, 2]) {
    const { text, headers } = await ask(`${origin}/graphql?query={runs}`)
    t.same(JSON.parse(text), { data: { runs: run } })
    t.notOk(headers['cache-status'])
    t.notOk(cached(headers))
  }
})
