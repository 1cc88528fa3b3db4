import { channel, type Channel } from 'node:diagnostics_channel'
import type { Forwarded } from '../http/cache-status.js'

/** The decision about one request on a cached route. */
export interface Decision {
  /** The prefix of the cache that decided. */
  readonly prefix: string
  /** Such as `GET /users/:id`. */
  readonly route: string
  readonly outcome: 'hit' | 'miss' | 'bypass'
  /** Why the request went to the handler, with the values of RFC 9211 section 2.2. */
  readonly forwarded: Forwarded | undefined
  /** More detail: the reason for a bypass, or why the response was not stored. */
  readonly detail: string | undefined
  /** Whether the response comes from the fill of another request, which this one waited for. */
  readonly collapsed: boolean
  /** Whether the response is stored. False for a stream: that is decided when it has ended. */
  readonly stored: boolean
  /** Of the stored or the sent response, before conditions; undefined for a bypass. */
  readonly status: number | undefined
  /** Undefined for a bypass. */
  readonly namespace: string | undefined
  readonly key: string | undefined
  /** Remaining freshness of a stored response, in seconds. */
  readonly ttl: number | undefined
  /** Age of a stored response, in seconds. */
  readonly age: number | undefined
  /** Length of the body, without a content coding of the cache. */
  readonly bytes: number | undefined
}

/** The outcome of one fill. */
export interface FillEvent {
  readonly prefix: string
  readonly route: string
  readonly key: string
  readonly outcome: 'stored' | 'not-stored'
  /** Why it was not stored. */
  readonly reason: string | undefined
  readonly bytes: number | undefined
}

/** An invalidation that was delivered, or that is pending. */
export interface InvalidationEvent {
  readonly prefix: string
  readonly namespaces: readonly string[]
  readonly tags: readonly string[]
  /** Whether the store has confirmed it. Otherwise it is retried. */
  readonly delivered: boolean
  /** Milliseconds for which the old entries may still be used; 0 for a hard write. */
  readonly soft: number
}

/** The end of a sweep. */
export interface SweepEvent {
  readonly prefix: string
  readonly swept: number
}

/** The store became available or unavailable (its circuit breaker closed or opened), or an operation failed. */
export interface StoreEvent {
  readonly prefix: string
  readonly store: string
  readonly state: 'available' | 'unavailable' | 'failed'
  /** The name of a failed operation. */
  readonly operation: string | undefined
  readonly error: unknown
  /** Why the store counts as unavailable, or why the operation failed without an error. */
  readonly reason: string | undefined
}

interface EventTypes {
  decision: Decision
  fill: FillEvent
  invalidation: InvalidationEvent
  sweep: SweepEvent
  store: StoreEvent
}

type EventName = keyof EventTypes

export type Listener = { readonly [Name in EventName]?: (event: EventTypes[Name]) => void }

/** Channels of `node:diagnostics_channel`, shared by all caches of the process. */
export const channels: { readonly [Name in EventName]: Channel } = {
  decision: channel('fastify-api-cache:decision'),
  fill: channel('fastify-api-cache:fill'),
  invalidation: channel('fastify-api-cache:invalidation'),
  sweep: channel('fastify-api-cache:sweep'),
  store: channel('fastify-api-cache:store')
}

/** Publishes the events of one cache to its listeners and to the channels. */
export class Events {
  readonly #listeners: Listener[] = []

  listen (listener: Listener): void {
    this.#listeners.push(listener)
  }

  publish<Name extends EventName> (name: Name, event: EventTypes[Name]): void {
    for (const listener of this.#listeners) listener[name]?.(event)
    if (channels[name].hasSubscribers) channels[name].publish(event)
  }
}
