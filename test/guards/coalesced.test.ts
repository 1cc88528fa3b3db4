import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { serving, type Seen, type Serving } from '../support/serving.js'

const test = patientStores()

const CALLERS = 8

/** Callers of one route that come while its handler runs for the first of them, each with its own name. */
async function together ({ request }: Serving, path = '/'): Promise<Seen[]> {
  return await Promise.all(Array.from({ length: CALLERS }, (_, caller) =>
    request(path, { headers: { 'x-user': `user-${caller}` } })))
}

/** A handler whose answer names its caller; it ends when all callers have asked. */
function answering (finish: (request: FastifyRequest, reply: FastifyReply, user: string) => unknown) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    await delay(50)
    return finish(request, reply, String(request.headers['x-user']))
  }
}

const cache = (policy: Partial<ReadPolicy> = {}): { cache: ReadPolicy } => ({ cache: { namespace: 'coalesced', expire: 60, scope: 'shared', ...policy } })

const PRIVATE: Record<string, (reply: FastifyReply, user: string) => void> = {
  'Cache-Control: private': (reply) => reply.header('cache-control', 'private, max-age=60'),
  'Cache-Control: no-store': (reply) => reply.header('cache-control', 'no-store'),
  'a Set-Cookie of the handler': (reply, user) => reply.header('set-cookie', `session=${user}`)
}

for (const [what, mark] of Object.entries(PRIVATE)) {
  test(`requests that waited for a response with ${what} run the handler themselves, in parallel`, async (t, options) => {
    let running = 0
    let allRun = (): void => {}
    const others = new Promise<void>((resolve) => { allRun = resolve })
    const server = await serving(t, options, (app) => app.get('/', { config: cache() }, answering(async (_request, reply, user) => {
      mark(reply, user)
      // All but the first end together or never.
      if (running++ > 0) {
        if (running === CALLERS) allRun()
        await others
      }
      return { user }
    })))
    const answers = await together(server)
    answers.forEach(({ text, headers, cache }, caller) => {
      t.equal(text, `{"user":"user-${caller}"}`)
      t.equal(cache, 'MISS')
      const cookie = headers.get('set-cookie')
      t.ok(cookie === null || cookie === `session=user-${caller}`, String(cookie))
    })
    t.equal(server.app.apiCache.stats().stored, 0)
  })
}

test('requests that waited for a response to which a hook adds Set-Cookie run the handler themselves', async (t, options) => {
  const server = await serving(t, options, (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      reply.header('set-cookie', `session=${String(request.headers['x-user'])}`)
      return payload
    })
    app.get('/', { config: cache() }, answering((_request, _reply, user) => ({ user })))
  })
  const answers = await together(server)
  answers.forEach(({ text, headers }, caller) => {
    t.equal(text, `{"user":"user-${caller}"}`)
    t.equal(headers.get('set-cookie'), `session=user-${caller}`)
  })
  t.equal(server.app.apiCache.stats().stored, 0)
})

test('a Set-Cookie that hooks add for some requests is never shared with waiting requests', async (t, options) => {
  let runs = 0
  const server = await serving(t, options, (app) => {
    app.addHook('onRequest', async (request, reply) => {
      if (request.headers['x-user'] !== 'user-0') reply.header('set-cookie', `session=${String(request.headers['x-user'])}`)
    })
    app.get('/', { config: cache() }, answering(() => ({ run: ++runs })))
  })
  const answers = await together(server)
  answers.forEach(({ headers }, caller) => {
    t.equal(headers.get('set-cookie'), caller === 0 ? null : `session=user-${caller}`)
  })
})

test('only requests of the same scope wait for each other', async (t, options) => {
  let runs = 0
  const scope = (request: FastifyRequest): string => String(request.headers['x-user'])
  const server = await serving(t, options, (app) => app.get('/', { config: cache({ scope }) }, answering((_request, _reply, user) => {
    runs++
    return { user }
  })))
  const answers = (await Promise.all([together(server), together(server)])).flat()
  answers.forEach(({ text }, caller) => t.equal(text, `{"user":"user-${caller % CALLERS}"}`))
  t.equal(runs, CALLERS)
  t.equal(server.app.apiCache.stats().collapsed, CALLERS)
})

test('requests that waited for a response that varies on a header get their own variant', async (t, options) => {
  const server = await serving(t, options, (app) => app.get('/', { config: cache() }, answering((_request, reply, user) => {
    reply.header('vary', 'X-User')
    return { user }
  })))
  const answers = (await Promise.all([together(server), together(server)])).flat()
  answers.forEach(({ text }, caller) => t.equal(text, `{"user":"user-${caller % CALLERS}"}`))
})

test('two routes whose key functions return the same key neither wait for each other nor share an entry', async (t, options) => {
  const server = await serving(t, options, (app) => {
    for (const url of ['/a', '/b']) app.get(url, { config: cache({ key: () => 'same' }) }, answering(() => ({ url })))
  })
  const answers = await Promise.all([together(server, '/a'), together(server, '/b')])
  answers[0]!.forEach(({ text }) => t.equal(text, '{"url":"/a"}'))
  answers[1]!.forEach(({ text }) => t.equal(text, '{"url":"/b"}'))
  await server.app.apiCache.settled()
  t.equal((await server.request('/a')).text, '{"url":"/a"}')
  t.equal((await server.request('/b')).text, '{"url":"/b"}')
})

test('a guard runs for each waiting request', async (t, options) => {
  const server = await serving(t, options, (app) => {
    app.addHook('preHandler', async (request, reply) => {
      if (request.headers['x-user'] === 'user-3') return reply.code(403).send({ refused: true })
    })
    app.get('/', { config: cache() }, answering((_request, _reply, user) => ({ user })))
  })
  const statuses = (await together(server)).map(({ status }) => status)
  t.same(statuses, Array.from({ length: CALLERS }, (_, caller) => caller === 3 ? 403 : 200))
})
