import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Core } from '../runtime.js'
import type { CacheStatus } from '../http/cache-status.js'
import { UNAVAILABLE } from '../store/guarded-store.js'
import { CLOSED } from '../store/contract.js'
import { newVersion } from '../write/invalidator.js'
import { Bypassed, kExchange } from './response-stage.js'
import { Fill } from './fill/fill.js'
import { Flight, type Landed } from './coalesce/fills-in-flight.js'
import { serve } from './hit.js'
import type { Identity } from '../key/cache-key.js'
import type { Look, Reader } from './lookup.js'

type Server = ThisParameterType<RouteHandlerMethod>
type Miss = Extract<Look, { miss: unknown }>

/** What an onRequest hook found already, for the handler to go on with. */
export const kLook = Symbol('fastify-api-cache.look')

declare module 'fastify' {
  interface FastifyRequest {
    [kLook]: Look | undefined
  }
}

/**
 * The handler of a cached route. Being the handler, it runs after everything that the application
 * put before it, and sees the request as the handler would: validated, coerced, with its user.
 */
export function cachedHandler (core: Core, reader: Reader, handler: RouteHandlerMethod): RouteHandlerMethod {
  const fleet = reader.policy.coalesce === 'fleet'
  if (fleet) core.fleet.listen()

  return function cached (this: Server, request, reply) {
    // A handler that returns nothing has sent, or will send, by itself.
    const answer = (look: Look): unknown => proceed.call(this, look, request, reply) ?? reply
    // With `attachValidation` the handler itself answers for a request that is not valid.
    if (request.validationError != null) return answer({ bypass: 'validation' })
    const look = request[kLook]
    return look !== undefined ? answer(look) : reader.look(request, answer)
  }

  function proceed (this: Server, look: Look, request: FastifyRequest, reply: FastifyReply): unknown {
    if ('entry' in look) {
      core.counters.hits++
      return serve({ core, reader, request, reply }, look.entry, look.now) ?? reply.send()
    }
    if (core.responseHeader !== false) reply.header(core.responseHeader, 'MISS')
    if ('bypass' in look) return bypass.call(this, look.bypass, look.onlyIfCached === true, request, reply)
    if (request.method !== 'GET') {
      core.counters.misses++
      reply[kExchange] = new Bypassed(reply, { fwd: look.miss, detail: 'head' })
      return handler.call(this, request, reply)
    }
    return miss.call(this, look, request, reply)
  }

  function bypass (this: Server, reason: string, onlyIfCached: boolean, request: FastifyRequest, reply: FastifyReply): unknown {
    core.counters.bypasses++
    reply[kExchange] = new Bypassed(reply, { fwd: reason === 'no-store' ? 'request' : 'bypass', detail: reason })
    if (!onlyIfCached) return handler.call(this, request, reply)
    // RFC 9111 section 5.2.1.7
    reply.code(504)
    return reply.send()
  }

  function miss (this: Server, look: Miss, request: FastifyRequest, reply: FastifyReply): unknown {
    const { key } = look.identity
    const versions = complete(look.versions)
    const shares = look.miss !== 'request'
    const waits = shares && (fleet || (versions !== undefined && core.flights.find(key, versions) !== undefined))
    if (versions === undefined || waits || reader.policy.payloadTags !== undefined) {
      return prepared.call(this, look, versions, shares, request, reply)
    }
    const flight = shares ? core.flights.begin(key, versions) : undefined
    return fill.call(this, look, versions, undefined, flight, request, reply)
  }

  /** A miss that something has to come before: versions to claim, or another's fill to wait for. */
  async function prepared (this: Server, look: Miss, known: string[] | undefined, shares: boolean, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { identity } = look
    const versions = known ?? await core.door.pass('claim', (store) => store.claim(identity.versions, newVersion()))
    if (versions === UNAVAILABLE) return bypass.call(this, 'unavailable', false, request, reply) ?? reply
    if (versions.includes(CLOSED)) return bypass.call(this, 'invalidating', false, request, reply) ?? reply
    const joined = shares ? await join(identity, versions, request) : undefined
    if (joined !== undefined && !(joined instanceof Flight)) {
      core.counters.collapsed++
      return serve({ core, reader, request, reply, collapsed: true }, joined.entry, Date.now()) ?? reply.send()
    }
    const tagGroups = reader.policy.payloadTags !== undefined ? await groups() : undefined
    return fill.call(this, look, versions, tagGroups, joined, request, reply) ?? reply
  }

  /** What another request's fill brings, or the flight of this one. */
  async function join (identity: Identity, versions: readonly string[], request: FastifyRequest): Promise<Landed | Flight | undefined> {
    const joined = await core.flights.join(identity.key, versions)
    if (joined === undefined) return undefined
    if (!(joined instanceof Flight)) {
      return reader.matches(identity, joined, request) && await reader.confirms(joined.entry, identity) ? joined : undefined
    }
    if (!fleet) return joined
    const landed = await core.fleet.join(identity.key, joined, async () => {
      const look = await reader.lookAgain(identity, request)
      return 'entry' in look ? { entry: look.entry, key: look.identity.key } : undefined
    })
    if (landed === undefined) return joined
    core.flights.land(identity.key, joined, landed)
    core.flights.end(identity.key, joined)
    return landed === 'unshared' ? undefined : landed
  }

  /**
   * The versions of all groups of tags, from before the handler runs. The flight has begun, so
   * that others wait for it meanwhile.
   */
  async function groups (): Promise<string[] | undefined> {
    const claimed = await core.door.pass('claim', (store) => store.claim(core.keyspace.tagGroups, newVersion()))
    return claimed === UNAVAILABLE ? undefined : claimed
  }

  function fill (this: Server, look: Miss, versions: readonly string[], tagGroups: readonly string[] | undefined, flight: Flight | undefined, request: FastifyRequest, reply: FastifyReply): unknown {
    core.counters.misses++
    const status: CacheStatus = { fwd: look.miss, detail: look.detail }
    return new Fill(core, reader, request, reply, { identity: look.identity, versions, tagGroups, flight, status }).run(this, handler)
  }
}

function complete (versions: ReadonlyArray<string | undefined>): string[] | undefined {
  return versions.every((version) => version !== undefined) ? versions as string[] : undefined
}
