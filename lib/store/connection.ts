import { isCount, isText, type Fields } from '../policy/fields.js'
import { faultOf } from './given-redis.js'
import type { GivenRedis } from './redis/connect.js'

/** Options that servers and clients of one cache have in common. */
export interface ConnectionOptions {
  /**
   * A client of ioredis or node-redis, a URL (redis:// or rediss://) or ioredis options: a connection of its own to
   * that server is opened, and closed in the end. Or a Cluster, which is used itself and not closed.
   * Default: `fastify.redis` on a server; what the environment says (`redisFromEnvironment`) in a client.
   */
  redis?: GivenRedis
  /** The first part of every key; default `'api-cache'`. */
  prefix?: string
  /** Milliseconds that the store may delay a request in all, or each call of a client; default 500. */
  timeout?: number
  /**
   * The share of Redis's time that the sweeps of this process may take, above 0 and at most 1;
   * default 0.1. With less, memory is freed later.
   */
  sweepShare?: number
}

/** The default of `timeout`, in milliseconds. */
export const DEFAULT_TIMEOUT = 500

export const connectionFields: Fields<ConnectionOptions> = {
  redis: {
    accepts: (value) => faultOf(value) === undefined,
    expects: 'a client or Cluster of ioredis or node-redis, a URL or ioredis options',
    shows: (value) => faultOf(value)!
  },
  prefix: {
    accepts: (value) => isText(value) && /^[\w.:@/-]{1,64}$/.test(value),
    expects: 'up to 64 letters, digits and _ . : @ / -'
  },
  timeout: { accepts: isCount, expects: 'whole milliseconds above 0' },
  sweepShare: {
    accepts: (value) => typeof value === 'number' && value > 0 && value <= 1,
    expects: 'a number above 0 and at most 1, such as 0.1 for a tenth of the time of Redis'
  }
}
