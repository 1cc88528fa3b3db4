import type { FastifyRequest } from 'fastify'
import { InvalidFieldError, InvalidNameError, MissingFieldError } from '../errors.js'
import type { Duration } from './duration.js'
import {
  checkFields, describeReturned, isBoolean, isFunction, isText, isTextList, oneOf, settleField, type Field, type Fields
} from './fields.js'
import { different, namesOf } from './names.js'
import type { OfRequest } from './of-request.js'

/**
 * What to invalidate: a name, a list of names, or a function that returns either. Members of a list
 * that are not names are skipped. Undefined, null and an empty list invalidate nothing. If the
 * function throws or returns anything else, even a promise, it is unknown what the write changed.
 * Then everything under the prefix is invalidated, and an error is logged.
 *
 * The payload is what the handler sent, before hooks and serialization. If the handler threw, it is
 * what an error handler sent, if anything. If a hook responds before the handler runs, there is no
 * payload, and a function that fails then invalidates nothing.
 */
export type Invalidation =
  | string
  | readonly string[]
  | OfRequest<[payload: unknown], string | readonly string[] | undefined | null>

/** Distinguishes write policies from read policies at compile time. */
interface NoReadFields {
  namespace?: never
  expire?: never
}

interface WriteFields {
  /**
   * Which writes invalidate. `'success'` (default): those that respond with 2xx or 3xx. `'settled'`:
   * all but those that respond with 4xx, so that a handler that throws, times out (`handlerTimeout`),
   * loses its client or hijacks the reply counts as having written. If it continues after its
   * response, the versions are bumped once more when it has settled.
   */
  invalidateOn?: 'success' | 'settled'
  /**
   * Records in the store, before the handler runs, what the write will invalidate. The cache does
   * not serve it until the handler has settled and its response has ended, even if this process
   * crashes. If it cannot be recorded, the write is refused with a 503. Functions are called before
   * the handler, so they get only the request; if one fails, the write is refused. Every outcome but
   * a 4xx invalidates, as with `invalidateOn: 'settled'`. Default false.
   */
  strict?: boolean
  /**
   * How long after the write its old rows may still be read, from database replicas that lag: one
   * second to five minutes, such as `'2s'`. What is filled within that time is served, but not kept
   * beyond its end. Default: that of the plugin; 0 for none.
   */
  settle?: Duration | 0
}

/** `config.cache` of a route that changes data: at least one of `invalidate` and `invalidateTags`. */
export type WritePolicy = NoReadFields & WriteFields & (
  | { invalidate: Invalidation, invalidateTags?: Invalidation }
  | { invalidate?: Invalidation, invalidateTags: Invalidation }
)

const names: Field = {
  accepts: (value) => isText(value) || isFunction(value) || (isTextList(value) && value.length > 0),
  expects: 'a non-empty string, a list of them or a function of the request and the payload'
}

const fields = {
  invalidate: names,
  invalidateTags: names,
  invalidateOn: oneOf('success', 'settled'),
  strict: { accepts: isBoolean, expects: 'true or false' },
  settle: settleField
}

/**
 * Checks a write policy.
 * @param what the route, as errors name it
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError, PatternNameError, TooManyNamesError
 */
export function checkWritePolicy (what: string, policy: WritePolicy): void {
  checkFields(what, policy, fields as unknown as Fields<WritePolicy>)
  if (policy.invalidate === undefined && policy.invalidateTags === undefined) {
    throw new MissingFieldError(what,
      "a policy on a writing method must say what it invalidates, such as { invalidate: 'user-cache' }")
  }
  for (const name of ['invalidate', 'invalidateTags'] as const) {
    const given = policy[name]
    if (given !== undefined && typeof given !== 'function') namesOf(`${what}: ${name}`, given)
  }
  if (policy.strict !== true) return
  if (policy.invalidateOn === 'success') {
    throw new InvalidFieldError(what, 'invalidateOn', "left out or 'settled' with strict: true", "'success'")
  }
  for (const name of ['invalidate', 'invalidateTags'] as const) {
    const given: unknown = policy[name]
    if (typeof given === 'function' && given.length > 1) {
      throw new InvalidFieldError(what, name,
        'a function of the request alone, as a strict write calls it before its handler runs',
        'one that also takes the payload')
    }
  }
}

/**
 * The names that a write invalidates. Members of a list that are not names are skipped, because no
 * entry can have them.
 * @throws InvalidNameError if a function returns anything but a name or a list, TooManyNamesError; what the
 *   function throws
 */
export function namesFor (
  field: string, invalidation: Invalidation | undefined, request: FastifyRequest, payload?: unknown
): string[] {
  const given: unknown = typeof invalidation === 'function' ? invalidation(request, payload) : invalidation
  if (given === undefined || given === null) return []
  const list: unknown = typeof given === 'string' ? [given] : given
  // A promise is not skipped: it may resolve to a name, which would not be invalidated.
  if (!Array.isArray(list) || list.some((name) => name instanceof Promise)) {
    throw new InvalidNameError(field, describeReturned(given))
  }
  return different(field, list.filter(isText))
}

/** Whether a write policy has functions, which may need the payload. */
export const hasFunctions = ({ invalidate, invalidateTags }: WritePolicy): boolean =>
  // Their length does not say whether they use the payload: default parameters and `arguments` do not count.
  typeof invalidate === 'function' || typeof invalidateTags === 'function'
