import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { ask, asking, open } from '../http/ask.js'

const config = { cache: { namespace: 'n', expire: 60, scope: 'shared' } } as const

/** Sources that produce slowly and without end, and how many of them are open. */
class Sources {
  opened = 0
  closed = 0

  node (): Readable {
    this.opened++
    const source = new Readable({
      read () { setTimeout(() => { if (!source.destroyed) source.push('tick ') }, 20).unref() },
      destroy: (error, done) => {
        this.closed++
        done(error)
      }
    })
    return source
  }

  web (): ReadableStream {
    this.opened++
    return new ReadableStream({
      pull: async (controller) => {
        await delay(20, undefined, { ref: false })
        controller.enqueue(new TextEncoder().encode('tick '))
      },
      cancel: () => { this.closed++ }
    })
  }

  response (): Response {
    return new Response(this.web())
  }

  async allClosed (): Promise<void> {
    while (this.closed < this.opened) await delay(20)
  }
}

const kinds: Record<string, (sources: Sources) => unknown> = {
  'a Node stream': (sources) => sources.node(),
  'a web stream': (sources) => sources.web(),
  'a Response': (sources) => sources.response()
}

for (const [kind, source] of Object.entries(kinds)) {
  async function route (t: Parameters<typeof asking>[0], declare: (app: FastifyInstance) => void = () => {}): Promise<{ sources: Sources, origin: string }> {
    const sources = new Sources()
    const { origin } = await asking(t, (app) => {
      declare(app)
      app.get('/', { config }, async (_request, reply) => {
        reply.header('etag', '"a"')
        return await source(sources)
      })
    })
    return { sources, origin }
  }

  t.test(`500 requests that are answered with 304 leave no source of ${kind} open`, async (t) => {
    const { sources, origin } = await route(t)
    const statuses = new Set<number>()
    for (let batch = 0; batch < 10; batch++) {
      await Promise.all(Array.from({ length: 50 }, async () => {
        statuses.add((await ask(`${origin}/`, { 'if-none-match': '*' })).status)
      }))
    }
    t.same([...statuses], [304])
    t.equal(sources.opened, 500)
    t.ok(sources.opened - sources.closed <= 1, `${sources.opened - sources.closed} are being read to be stored`)
    await sources.allClosed()
  })

  t.test(`a hook that discards ${kind} leaves no source open`, async (t) => {
    const { sources, origin } = await route(t, (app) => { app.addHook('onSend', async () => 'something else') })
    t.equal((await ask(`${origin}/`)).text, 'something else')
    await sources.allClosed()
    t.equal(sources.opened, 1)
  })

  t.test(`a hook that fails instead of sending ${kind} leaves no source open`, async (t) => {
    const { sources, origin } = await route(t, (app) => { app.addHook('onSend', async () => { throw new Error('refused') }) })
    t.equal((await ask(`${origin}/`)).status, 500)
    await sources.allClosed()
    t.equal(sources.opened, 1)
  })

  t.test(`a hook that answers 304 or 416 instead of ${kind} leaves no source open`, async (t) => {
    for (const status of [304, 416]) {
      const { sources, origin } = await route(t, (app) => {
        app.addHook('onSend', async (_request, reply, payload) => {
          reply.code(status)
          return payload
        })
      })
      t.equal((await ask(`${origin}/`)).status, status)
      await sources.allClosed()
      t.equal(sources.opened, 1)
    }
  })

  t.test(`a client that disconnects while it reads ${kind} leaves no source open`, async (t) => {
    const { sources, origin } = await route(t)
    const response = await open(`${origin}/`)
    await once(response, 'data')
    response.destroy()
    await sources.allClosed()
    t.equal(sources.opened, 1)
  })
}

t.test('a stream that ends soon is stored, even if the request is answered with 304', async (t) => {
  let runs = 0
  const { ask } = await asking(t, (app) => app.get('/', { config }, async (_request, reply) => {
    runs++
    return reply.header('etag', '"a"').send(Readable.from(['a', 'b']))
  }))
  t.equal((await ask('/', { 'if-none-match': '"a"' })).status, 304)
  t.match(await ask('/'), { status: 200, text: 'ab', headers: { 'x-api-cache': 'HIT' } })
  t.equal(runs, 1)
})
