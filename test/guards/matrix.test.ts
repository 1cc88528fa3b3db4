import auth from '@fastify/auth'
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { Test } from 'tap'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../index.js'
import { patientStores } from '../support/patient-stores.js'
import { listening } from '../support/serving.js'
import { addHook, append, fits, guard, KEY, STAGES, STYLES, type Hook, type Stage } from './guard.js'

const test = patientStores()

interface Places {
  app: FastifyInstance
  /** Loads the plugin under test. */
  cache: () => Promise<void>
  /** Declares the cached route. */
  route: (app: FastifyInstance, options?: Partial<RouteOptions>) => void
  hook: Hook
  stage: Stage
}

type Place = (places: Places) => unknown

const appends = (stage: Stage, hook: Hook) => async (app: FastifyInstance): Promise<void> => {
  app.addHook('onRoute', (route) => { append(route, stage, hook) })
}

// Where an application can put a guard.
const PLACES: Record<string, Place> = {
  'on the route': async ({ app, cache, route, hook, stage }) => {
    await cache()
    route(app, { [stage]: hook })
  },
  'on the route, between two others': async ({ app, cache, route, hook, stage }) => {
    await cache()
    const pass: Hook = async () => {}
    route(app, { [stage]: [pass, hook, pass] })
  },
  'on the instance, before the plugin': async ({ app, cache, route, hook, stage }) => {
    addHook(app, stage, hook)
    await cache()
    route(app)
  },
  'on the instance, between the plugin and the route': async ({ app, cache, route, hook, stage }) => {
    await cache()
    addHook(app, stage, hook)
    route(app)
  },
  'on the instance, after the route': async ({ app, cache, route, hook, stage }) => {
    await cache()
    route(app)
    addHook(app, stage, hook)
  },
  'in the parent of the context of the route': async ({ app, cache, route, hook, stage }) => {
    await cache()
    addHook(app, stage, hook)
    await app.register(async (child) => { route(child) })
  },
  'in the parent, after the context of the route was declared': async ({ app, cache, route, hook, stage }) => {
    await cache()
    app.register(async (child) => { route(child) })
    addHook(app, stage, hook)
  },
  'in the context of the route, before it': async ({ app, cache, route, hook, stage }) => {
    await cache()
    await app.register(async (child) => {
      addHook(child, stage, hook)
      route(child)
    })
  },
  'in the context of the route, after it': async ({ app, cache, route, hook, stage }) => {
    await cache()
    await app.register(async (child) => {
      route(child)
      addHook(child, stage, hook)
    })
  },
  'two contexts above the route, before the plugin': async ({ app, cache, route, hook, stage }) => {
    addHook(app, stage, hook)
    await cache()
    await app.register(async (child) => {
      await child.register(async (grandchild) => { route(grandchild) })
    })
  },
  'by a plugin registered earlier': async ({ app, cache, route, hook, stage }) => {
    await app.register(fp(async (app) => { addHook(app, stage, hook) }))
    await cache()
    route(app)
  },
  'by a plugin registered later': async ({ app, cache, route, hook, stage }) => {
    await cache()
    await app.register(fp(async (app) => { addHook(app, stage, hook) }))
    route(app)
  },
  'by the onRoute hook of a plugin registered earlier': async ({ app, cache, route, hook, stage }) => {
    await app.register(fp(appends(stage, hook)))
    await cache()
    route(app)
  },
  'by the onRoute hook of a plugin registered later': async ({ app, cache, route, hook, stage }) => {
    await cache()
    await app.register(fp(appends(stage, hook)))
    route(app)
  },
  'by the onRoute hook of a plugin in the context of the route': async ({ app, cache, route, hook, stage }) => {
    await cache()
    await app.register(async (child) => {
      await child.register(fp(appends(stage, hook)))
      route(child)
    })
  }
}

/** An application with the guard in its place; refuses the stranger and serves the guarded caller. */
async function holds (t: Test, options: ApiCacheOptions, policy: Partial<ReadPolicy>, place: Place, stage: Stage, hookOf: (app: FastifyInstance) => Hook): Promise<void> {
  let runs = 0
  const app = Fastify()
  await app.register(auth)
  await place({
    app,
    stage,
    hook: hookOf(app),
    cache: async () => { await app.register(apiCache, options) },
    route: (app, routeOptions) => app.route({
      method: 'GET',
      url: '/secret',
      config: { cache: { namespace: 'guarded', expire: 60, scope: 'shared', ...policy } },
      ...routeOptions,
      handler: async () => ({ secret: ++runs })
    })
  })
  const { request } = await listening(t, app)
  const refused = async (): Promise<void> => {
    const { status, cache, text } = await request('/secret')
    t.same({ status, cache, leaks: text.includes('secret') }, { status: 401, cache: null, leaks: false })
  }
  await refused()
  t.match(await request('/secret', KEY), { status: 200, cache: 'MISS', text: '{"secret":1}' })
  await app.apiCache.settled()
  await refused()
  t.match(await request('/secret', KEY), { status: 200, cache: 'HIT', text: '{"secret":1}' })
  await refused()
  t.equal((await request('/secret', { ...KEY, method: 'HEAD' })).cache, 'HIT')
  t.equal((await request('/secret', { method: 'HEAD' })).status, 401)
  t.equal(runs, 1)
}

for (const [where, place] of Object.entries(PLACES)) {
  for (const stage of STAGES) {
    for (const style of STYLES.filter((style) => fits(style, stage))) {
      test(`a guard in ${stage} that is ${style}, ${where}, runs before a HIT`, async (t, options) => {
        await holds(t, options, {}, place, stage, (app) => guard(app, style))
      })
    }
  }
  for (const style of STYLES) {
    test(`with serveFrom 'onRequest' a guard in onRequest that is ${style}, ${where}, runs before a HIT`, async (t, options) => {
      await holds(t, options, { serveFrom: 'onRequest' }, place, 'onRequest', (app) => guard(app, style))
    })
  }
}

// A guard that is no hook: it stands around the handler.
const WRAPPING: Record<string, Place> = {
  'by the onRoute hook of a plugin registered later': async ({ app, cache, route, hook }) => {
    await cache()
    await app.register(fp(async (app) => { app.addHook('onRoute', (options) => { wrap(options, hook) }) }))
    route(app)
  },
  'by the onRoute hook of a plugin in the context of the route': async ({ app, cache, route, hook }) => {
    await cache()
    await app.register(async (child) => {
      child.addHook('onRoute', (options) => { wrap(options, hook) })
      route(child)
    })
  }
}

function wrap (route: RouteOptions, hook: Hook): void {
  const { handler } = route
  route.handler = async function (request, reply) {
    await hook(request, reply)
    return reply.sent ? reply : await handler.call(this, request, reply)
  }
}

for (const [where, place] of Object.entries(WRAPPING)) {
  for (const style of ['an async function', 'a function that replies'] as const) {
    test(`a guard around the handler that is ${style}, added ${where}, runs before a HIT`, async (t, options) => {
      await holds(t, options, {}, place, 'preHandler', (app) => guard(app, style))
    })
  }
}

const key = { type: 'string', const: 'open' } as const

const VALIDATED: Record<string, Partial<RouteOptions>> = {
  'a schema of its headers': { schema: { headers: { type: 'object', properties: { 'x-key': key }, required: ['x-key'] } } },
  'a validator compiler of its own': {
    schema: { headers: { any: 'thing' } },
    validatorCompiler: () => (headers: Record<string, unknown>) => headers['x-key'] === 'open' ? { value: headers } : { error: new Error('no key') }
  },
  'validation that a hook judges': {
    attachValidation: true,
    schema: { headers: { type: 'object', required: ['x-key'], properties: { 'x-key': key } } },
    preHandler: async ({ validationError }) => { if (validationError !== undefined) throw validationError }
  }
}

for (const [what, routeOptions] of Object.entries(VALIDATED)) {
  test(`a route that refuses with ${what} does so before a HIT`, async (t, options) => {
    const place: Place = async ({ app, cache, route }) => {
      app.setErrorHandler(async (_error, _request, reply) => reply.code(401).send({ refused: true }))
      await cache()
      route(app, routeOptions)
    }
    await holds(t, options, {}, place, 'preHandler', () => async () => {})
  })
}
