import type { FastifyRequest } from 'fastify'
import { InvalidFieldError, InvalidNameError, MissingFieldError } from '../errors.js'
import { checkFields, isBoolean, isFunction, isText, isTextList, showReturned, type Field, type Fields } from './fields.js'

/**
 * What to invalidate: a name, several, or a function that tells when the answer is known. What is
 * returned decides: names are invalidated, and of a list what is no name is left out; nothing,
 * null and an empty list invalidate nothing. Where the function throws or returns anything else (a
 * promise, too), nobody knows what the write made old: everything under the prefix is invalidated,
 * and an error is logged.
 *
 * The payload is what the handler sent, before hooks and serialization; where it threw and an error
 * handler answers with a success, what that sent. Where a hook answers before the handler runs there
 * is none, and a function that fails then invalidates nothing.
 */
export type Invalidation =
  | string
  | readonly string[]
  | ((request: FastifyRequest, payload: unknown) => string | readonly string[] | undefined | null)

/** What keeps the two kinds of policy apart at compile time. */
interface NoReadFields {
  namespace?: never
  expire?: never
}

interface WriteFields {
  /**
   * Records in the store what is going to be old before the handler runs: nobody reads it from the
   * cache while the write is in flight, even if this process dies meanwhile. Where it cannot be
   * recorded the write is refused with a 503. Functions are asked before the handler, so they
   * take the request alone; one that fails refuses the write. Default false.
   */
  strict?: boolean
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
  strict: { accepts: isBoolean, expects: 'true or false' }
}

/**
 * Checks a write policy.
 * @param what the route, as errors name it
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError
 */
export function checkWritePolicy (what: string, policy: WritePolicy): void {
  checkFields(what, policy, fields as unknown as Fields<WritePolicy>)
  if (policy.invalidate === undefined && policy.invalidateTags === undefined) {
    throw new MissingFieldError(what, "a policy on a writing method says what it makes old, such as { invalidate: 'user-cache' }")
  }
  if (policy.strict !== true) return
  for (const name of ['invalidate', 'invalidateTags'] as const) {
    const given: unknown = policy[name]
    if (typeof given === 'function' && given.length > 1) {
      throw new InvalidFieldError(what, name, 'a function of the request alone, as a strict write asks it before its handler runs', 'one that declares the payload, too')
    }
  }
}

/**
 * The names that an invalidation stands for, each once.
 * @throws InvalidNameError for what is not a name
 */
export function namesOf (what: string, given: unknown): string[] {
  const list: unknown = typeof given === 'string' ? [given] : given
  if (!isTextList(list)) throw new InvalidNameError(what, showReturned(given))
  return [...new Set(list)]
}

/**
 * The names that a write makes old; without a payload those that its request tells. A member of a
 * list that is no name is left out: no entry can bear it.
 * @throws InvalidNameError where a function returns no list; whatever the function throws
 */
export function namesFor (field: string, invalidation: Invalidation | undefined, request: FastifyRequest, payload?: unknown): string[] {
  const given: unknown = typeof invalidation === 'function' ? invalidation(request, payload) : invalidation
  if (given === undefined || given === null) return []
  const list: unknown = typeof given === 'string' ? [given] : given
  // A promise stands for a name that nobody knows yet.
  if (!Array.isArray(list) || list.some((name) => name instanceof Promise)) {
    throw new InvalidNameError(field, showReturned(given))
  }
  return [...new Set(list.filter(isText))]
}
