import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Core } from '../core.js'
import type { CacheStatus } from '../http/cache-status.js'
import { UNAVAILABLE } from '../store/door.js'
import { isPromise } from '../store/store.js'
import { newVersion } from '../write/invalidator.js'
import { Bypassed, kExchange } from './exchange.js'
import { Fill } from './fill.js'
import { serve } from './hit.js'
import type { Look, Reader } from './reader.js'

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
  return function cached (this: Server, request, reply) {
    // A handler that returns nothing has sent, or will send, by itself.
    const answer = (look: Look): unknown => proceed.call(this, look, request, reply) ?? reply
    const look = request[kLook]
    return look !== undefined ? answer(look) : reader.look(request, answer)
  }

  function proceed (this: Server, look: Look, request: FastifyRequest, reply: FastifyReply): unknown {
    if ('entry' in look) {
      core.counters.hits++
      return serve(core, request, reply, look.entry, false) ?? reply.send()
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
    const versions = complete(look.versions)
    const needsGroups = typeof reader.policy.tags === 'function'
    if (versions === undefined || needsGroups || (look.miss !== 'request' && core.flights.find(look.identity.key, versions) !== undefined)) {
      return prepared.call(this, look, versions, request, reply)
    }
    return fill.call(this, look, versions, undefined, look.miss !== 'request', request, reply)
  }

  /** A miss that something has to come before: versions to claim, or another's fill to wait for. */
  async function prepared (this: Server, look: Miss, known: string[] | undefined, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { key, versions: names } = look.identity
    const versions = known ?? await core.door.pass('claim', (store) => store.claim(names, newVersion()))
    if (versions === UNAVAILABLE) return bypass.call(this, 'unavailable', false, request, reply) ?? reply
    let takesOff = look.miss !== 'request'
    while (takesOff) {
      const flight = core.flights.find(key, versions)
      if (flight === undefined) break
      const outcome = await core.flights.wait(flight)
      if (outcome === 'abandoned') continue
      if (outcome !== 'unshared' && reader.matches(look.identity, outcome.key, request)) {
        core.counters.collapsed++
        return serve(core, request, reply, outcome.entry, true) ?? reply.send()
      }
      takesOff = false
    }
    // Taken off before the groups are read, so that others wait for this one meanwhile.
    const groups = typeof reader.policy.tags === 'function' ? core.keyspace.tagGroups : undefined
    return fill.call(this, look, versions, groups, takesOff, request, reply) ?? reply
  }

  function fill (this: Server, look: Miss, versions: readonly string[], groups: readonly string[] | undefined, takesOff: boolean, request: FastifyRequest, reply: FastifyReply): unknown {
    core.counters.misses++
    const { identity } = look
    const flight = takesOff ? core.flights.begin(identity.key, versions) : undefined
    const status: CacheStatus = { fwd: look.miss, detail: look.detail }
    const run = (tagGroups: readonly string[] | undefined): unknown => {
      const filling = new Fill(core, reader, request, reply, { identity, versions, tagGroups, flight, status })
      reply[kExchange] = filling
      return filling.run(this, handler)
    }
    if (groups === undefined) return run(undefined)
    const claimed = core.door.pass('claim', (store) => store.claim(groups, newVersion()))
    const known = (current: string[] | typeof UNAVAILABLE): unknown => run(current === UNAVAILABLE ? undefined : current) ?? reply
    return isPromise(claimed) ? claimed.then(known) : known(claimed)
  }
}

function complete (versions: ReadonlyArray<string | undefined>): string[] | undefined {
  return versions.every((version) => version !== undefined) ? versions as string[] : undefined
}
