import type { FastifyContextConfig } from 'fastify'
import type { ReadPolicy } from './read-policy.js'
import type { WritePolicy } from './write-policy.js'

type FieldsOf<T> = T extends unknown ? keyof T : never

/**
 * Makes an unknown field of `config.cache` a compile error. Fastify infers a route's own config
 * from what is written there, so that TypeScript alone finds nothing unknown in it.
 * @template Config the whole type of a route's config: ours and the inferred one
 */
export type NoExtra<Config> = Config extends FastifyContextConfig & infer Inferred
  ? Inferred extends { cache?: infer Written }
    ? { [Field in Exclude<keyof Written, FieldsOf<ReadPolicy | WritePolicy>>]?: never }
    : unknown
  : unknown
