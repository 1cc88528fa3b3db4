import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import apiCache, { type ApiCacheOptions, type ReadPolicy } from '../../../index.js'
import { outcomeOf } from './conditions.js'
import { namedBy, type Application, type Hook, type Level } from './description.js'
import { addVary, functionOf, look, tagOf, untouched, type Trace } from './hooks.js'

/** What a write changes. */
export interface Data { count: number }

/** One release of an application, and what its hooks did last. */
export interface Release {
  readonly app: FastifyInstance
  readonly trace: Trace
}

export interface Building {
  readonly data: Data
  readonly release: number
  readonly http2: boolean
  /** The options of the plugin; the twin has none. */
  readonly cache?: ApiCacheOptions | undefined
}

const NAMESPACE = 'twin'

export async function build (application: Application, building: Building): Promise<Release> {
  const { data, cache, http2 } = building
  const trace = untouched()
  const options = { trustProxy: application.trustProxy, forceCloseConnections: true }
  const app = (http2 ? Fastify({ ...options, http2: true }) : Fastify(options)) as FastifyInstance
  const hooksAt = (wanted: Level): readonly Hook[] => application.hooks.filter(({ level }) => level === wanted)

  addHooks(app, hooksAt('before the plugin'), trace)
  if (cache !== undefined) await app.register(apiCache, { ...cache, ...pluginOptions(application, building.release) })
  addHooks(app, hooksAt('after the plugin'), trace)
  app.post('/', { config: cache && { cache: { invalidate: NAMESPACE } } }, async () => ({ count: ++data.count }))
  await app.register(async (context) => {
    addHooks(context, hooksAt('context'), trace)
    const route = routeOptions(application, hooksAt('route'), building, trace)
    context.get('/items/:id', route, (request, reply) => answer(application, building, request, reply))
  })
  await app.ready()
  return { app, trace }
}

function addHooks (app: FastifyInstance, hooks: readonly Hook[], trace: Trace): void {
  // The functions fit their names, which TypeScript cannot see.
  for (const hook of hooks) app.addHook(hook.at as 'onSend', functionOf(hook, trace))
}

function routeOptions (
  application: Application, hooks: readonly Hook[], { cache, release }: Building, trace: Trace
): RouteShorthandOptions {
  const route: Record<string, unknown[]> = {}
  // Vary as some hooks name it, first of all and last of all.
  const early = namedBy(application, 'onRequest')
  const late = namedBy(application, 'onSend')
  route['onRequest'] = [async (_request: FastifyRequest, reply: FastifyReply) => { addVary(reply, ...early) }]
  for (const hook of hooks) (route[hook.at] ??= []).push(functionOf(hook, trace))
  if (late.length > 0) {
    const names = async (_request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> => {
      addVary(reply, ...late)
      return payload
    }
    route['onSend'] = [names, ...route['onSend'] ?? []]
  }
  return {
    ...route,
    ...application.releases === 'two response schemas' && release === 1 && { schema: WITHOUT_SALARY },
    ...cache && { config: { cache: policyOf(application, release) } }
  }
}

const WITHOUT_SALARY = {
  response: { '2xx': { type: 'object', properties: { count: { type: 'number' } }, additionalProperties: false } }
}

/** Options that tell releases apart. The casts, here and for a policy, are for types without `revision`, `application` and `host`. */
function pluginOptions ({ releases }: Application, release: number): ApiCacheOptions {
  if (releases === 'two revisions') return { revision: `r${release}` } as ApiCacheOptions
  if (releases === 'two applications') return { application: `a${release}` } as ApiCacheOptions
  return {}
}

const SCOPES: Record<Application['policy']['scope'], ReadPolicy['scope']> = {
  shared: 'shared',
  anonymous: 'anonymous',
  tenant: (request) => request.headers['x-tenant'] as string
}

function policyOf (application: Application, release: number): ReadPolicy {
  const { policy: { scope, host, ...policy }, releases } = application
  return {
    ...policy,
    namespace: NAMESPACE,
    expire: 3600,
    scope: SCOPES[scope]!,
    vary: namedBy(application, 'policy'),
    ...!host && { host },
    ...releases === 'two revisions of the route' && { revision: `r${release}` }
  } as ReadPolicy
}

const LAST_MODIFIED = Date.parse('2020-01-01T00:00:00Z')
/** Each write makes it an hour later. */
export const lastModified = (count: number): string => new Date(LAST_MODIFIED + count * 3_600_000).toUTCString()

/** Whether the release itself shows in its answers. */
const showsRelease = ({ releases }: Application): boolean => releases !== 'one' && releases !== 'two response schemas'

async function answer (
  application: Application, { data, release }: Building, request: FastifyRequest, reply: FastifyReply
): Promise<unknown> {
  const { handler } = application
  // Requests that were sent at once meet here.
  await nextTurn()
  if (handler.throwsForGuests && look(request, 'x-role') === 'guest') throw new Error('no guests')
  const seen = Object.fromEntries(handler.reads.map((field) => [field, look(request, field)]))
  const body = {
    count: data.count,
    salary: 1,
    id: (request.params as { id: string }).id,
    query: request.query,
    ...showsRelease(application) && { release },
    ...seen
  }
  const text = JSON.stringify(body)
  setHeaders(application, request, reply)
  const headers = representationHeaders(application, request, text, data)
  if (handler.sends === 'Response') return new Response(text, { status: handler.status, headers })
  if (handler.status !== 200) reply.code(handler.status)
  reply.headers(headers)
  switch (handler.sends) {
    case 'object': return body
    case 'text': return text
    case 'bytes': return handler.answersConditions ? conditioned(request, reply, Buffer.from(text)) : Buffer.from(text)
    case 'stream': return Readable.from([text.slice(0, 5), text.slice(5)], { objectMode: false })
    case 'web stream': return new Blob([text]).stream()
    case 'nothing': return reply.send()
  }
}

/** Headers on the reply, where they meet those of hooks. */
function setHeaders (application: Application, request: FastifyRequest, reply: FastifyReply): void {
  const { handler } = application
  const names = namedBy(application, 'handler')
  if (handler.vary === 'adds') addVary(reply, ...names)
  else if (names.length > 0) reply.header('vary', names.join(', '))
  if (handler.internal) reply.header('x-internal', 'yes')
  if (handler.contentLanguage) {
    reply.header('content-language', application.named['accept-language'] !== undefined ? look(request, 'accept-language') : 'en')
  }
  if (handler.hooked === 'removes') reply.removeHeader('x-hooked')
  if (handler.hooked === 'extends') {
    const policy = reply.getHeader('content-security-policy')
    reply.header('content-security-policy', policy === undefined ? 'script-src self' : `${String(policy)}; script-src self`)
  }
}

/** Headers that a `Response` brings along. */
function representationHeaders (
  { handler, named }: Application, request: FastifyRequest, text: string, { count }: Data
): Record<string, string> {
  const headers: Record<string, string> = {}
  if (handler.sends === 'text' || handler.sends === 'Response') headers['content-type'] = 'application/json'
  if (named.accept !== undefined && look(request, 'accept') === 'loud') headers['content-type'] = 'application/loud+json'
  if (handler.etag !== 'none') headers['etag'] = (handler.etag === 'weak' ? 'W/' : '') + tagOf('h', text)
  if (handler.lastModified) headers['last-modified'] = lastModified(count)
  if (handler.cacheControl !== 'none') headers['cache-control'] = handler.cacheControl
  if (handler.expires) headers['expires'] = 'Wed, 01 Jan 2070 00:00:00 GMT'
  return headers
}

/** What a file server does. */
function conditioned (request: FastifyRequest, reply: FastifyReply, body: Buffer): unknown {
  if (reply.statusCode !== 200) return body
  const etag = reply.getHeader('etag')
  const modified = reply.getHeader('last-modified') as string | undefined
  const outcome = outcomeOf(request.method, request.headers as Record<string, string>, {
    lastModified: modified,
    matches: (tag, comparison) => etag !== undefined &&
      (comparison === 'strong' ? tag === etag : tag.replace('W/', '') === String(etag).replace('W/', ''))
  }, body.length)
  if (outcome === 'whole') return body
  if (outcome === 'not modified') return reply.code(304).send()
  if (outcome === 'unsatisfiable') return reply.code(416).header('content-range', `bytes */${body.length}`).send()
  reply.code(206).header('content-range', `bytes ${outcome.first}-${outcome.last}/${body.length}`)
  return body.subarray(outcome.first, outcome.last + 1)
}
