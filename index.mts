// For `import`: the same single copy that require() gives, with its names where import looks for
// them. Node can't see those that index.ts puts on a function, so they come from their own files.
import apiCache from './index.js'

export { apiCache as default, apiCache }
export {
  ONE_MINUTE_IN_SECONDS,
  ONE_HOUR_IN_SECONDS,
  ONE_DAY_IN_SECONDS,
  ONE_WEEK_IN_SECONDS,
  ONE_MONTH_IN_SECONDS,
  ONE_YEAR_IN_SECONDS,
  oneMinute,
  oneHour,
  oneDay,
  oneWeek,
  oneMonth,
  oneYear
} from './lib/policy/durations.js'
export { redisFromEnvironment } from './lib/environment.js'
export { decodeEntry, encodeEntry } from './lib/entry/codec.js'
export { MemoryStore } from './lib/store/memory-store.js'
export { CLOSED } from './lib/store/contract.js'
export type {
  ApiCache,
  ApiCacheOptions,
  BodyKind,
  CacheStore,
  Duration,
  Entry,
  Invalidation,
  LocalOptions,
  Lookup,
  MaybePromise,
  MemoryOptions,
  ReadDefaults,
  ReadPolicy,
  Stats,
  StoredHeaders,
  WritePolicy
} from './index.js'
