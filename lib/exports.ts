/** What the package exports besides the plugin. */

export * from './policy/durations.js'
export { redisFromEnvironment } from './environment.js'
export { decodeEntry, encodeEntry } from './entry/codec.js'
export { MemoryStore } from './store/memory-store.js'
export { CLOSED } from './store/contract.js'
export type { ApiCache, Stats } from './api.js'
export type { BodyKind, Entry, StoredHeaders } from './entry/entry.js'
export type { Decision, FillEvent, InvalidationEvent, StoreEvent, SweepEvent } from './observe/events.js'
export type { ApiCacheOptions } from './options.js'
export type { Credentials } from './policy/credentials-policy.js'
export type { Duration } from './policy/duration.js'
export type { ReadDefaults, ReadPolicy } from './policy/read-policy.js'
export type { Invalidation, SoftNamespaces, SoftTags } from './policy/invalidation.js'
export type { WritePolicy } from './policy/write-policy.js'
export type {
  CacheStore, Intents, Leases, Lookup, MaybePromise, SoftenedAt, SoftWrites
} from './store/contract.js'
export type { MemoryOptions } from './store/entry-cache.js'
export type { LocalOptions } from './store/local-tier.js'
export type { Invalidated } from './write/invalidation.js'
export type { InvalidateOptions, WritingNames, WritingOptions } from './write/writing.js'
