import { hitStatus, serialized, type CacheStatus, type Forwarded } from '../http/cache-status.js'
import type { CacheKey } from '../key/cache-key.js'
import type { Exchange } from '../read/exchange.js'
import type { Decision } from './events.js'

/** The parts of a decision that differ between hits, misses and bypasses. */
export interface Decided {
  readonly outcome: Decision['outcome']
  readonly forwarded?: Forwarded
  readonly detail?: string | undefined
  readonly collapsed?: boolean
  readonly stored?: boolean
  readonly key?: CacheKey
  readonly ttl?: number
  readonly age?: number
  readonly bytes?: number | undefined
}

/** Publishes the decision about a request, and returns its member for Cache-Status (RFC 9211). */
export function publishDecision ({ route, request, reply }: Exchange, decided: Decided): string {
  const { runtime } = route
  const { outcome, forwarded, detail, collapsed = false, stored = false, key, ttl, age, bytes } = decided
  const decision: Decision = {
    prefix: runtime.keyspace.prefix,
    route: route.name,
    outcome,
    forwarded: outcome === 'bypass' && forwarded === undefined ? forwardedFor(detail) : forwarded,
    detail,
    collapsed,
    stored,
    status: outcome === 'bypass' ? undefined : reply.raw.statusCode,
    namespace: key?.namespace,
    key: key?.key,
    ttl,
    age,
    bytes
  }
  runtime.events.publish('decision', decision)
  if (route.explainer !== undefined) return serialized(route.explainer.explain(request, cacheStatusOf(decision), key))
  return outcome === 'hit' && !collapsed && detail === undefined ? hitStatus(ttl!) : serialized(cacheStatusOf(decision))
}

function cacheStatusOf ({ outcome, forwarded: fwd, detail, collapsed, stored, ttl }: Decision): CacheStatus {
  if (outcome !== 'hit') return { fwd, stored, collapsed, detail }
  return collapsed ? { fwd: 'uri-miss', collapsed, ttl, detail } : { hit: true, ttl, detail }
}

/** `no-store` is the request's own wish; every other bypass is the cache's choice. */
const forwardedFor = (reason: string | undefined): Forwarded => reason === 'no-store' ? 'request' : 'bypass'
