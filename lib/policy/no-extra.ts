import type { FastifyContextConfig } from 'fastify'
import type { ReadPolicy } from './read-policy.js'
import type { WritePolicy } from './write-policy.js'

type FieldsOf<T> = T extends unknown ? keyof T : never

/**
 * Makes an unknown field of `config.cache` a compile error. Without it TypeScript accepts any
 * field, because Fastify infers the type of a route's config from the config itself.
 * @template Config the whole type of a route's config: Fastify's interface and the inferred type
 */
export type NoExtra<Config> = Config extends FastifyContextConfig & infer Inferred
  ? Inferred extends { cache?: infer Written }
    ? { [Field in Exclude<keyof Written, FieldsOf<ReadPolicy | WritePolicy>>]?: never }
    : unknown
  : unknown
