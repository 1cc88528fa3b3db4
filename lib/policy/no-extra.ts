import type { FastifyContextConfig } from 'fastify'
import type { ExpireByStatus } from './expire.js'
import type { ReadPolicy } from './read-policy.js'
import type { WritePolicy } from './write-policy.js'

type FieldsOf<T> = T extends unknown ? keyof T : never

/**
 * Makes an unknown field of `config.cache` a compile error, and so an unknown status in its `expire`. Without it
 * TypeScript accepts any field, because Fastify infers the type of a route's config from the config itself.
 * @template Config the whole type of a route's config: Fastify's interface and the inferred type
 */
export type NoExtra<Config> = Config extends FastifyContextConfig & infer Inferred
  ? Inferred extends { cache?: infer Written }
    ? { [Field in Exclude<keyof Written, FieldsOf<ReadPolicy | WritePolicy>>]?: never } & NoOtherStatus<Written>
    : unknown
  : unknown

type NoOtherStatus<Written> = Written extends { expire: infer Expire extends object }
  ? { expire?: { [Status in keyof Expire as IsStatus<Status> extends true ? never : Status]?: never } }
  : unknown

/** A property is named by a number or by the same as a text. */
type IsStatus<Name> = `${Name & (string | number)}` extends keyof ExpireByStatus ? true : false
