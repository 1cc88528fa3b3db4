import type { FastifyRequest } from 'fastify'
import { InvalidNameError, MissingFieldError } from '../errors.js'
import { checkFields, isFunction, isText, isTextList, show, type Field, type Fields } from './fields.js'

/** What to invalidate: a name, several, or a function that tells when the answer is known. */
export type Invalidation =
  | string
  | readonly string[]
  | ((request: FastifyRequest, payload: unknown) => string | readonly string[])

/** What keeps the two kinds of policy apart at compile time. */
interface NoReadFields {
  namespace?: never
  expire?: never
}

/** `config.cache` of a route that changes data: at least one of `invalidate` and `invalidateTags`. */
export type WritePolicy = NoReadFields & (
  | { invalidate: Invalidation, invalidateTags?: Invalidation }
  | { invalidate?: Invalidation, invalidateTags: Invalidation }
)

const names: Field = {
  accepts: (value) => isText(value) || isFunction(value) || (isTextList(value) && value.length > 0),
  expects: 'a non-empty string, a list of them or a function of the request and the payload'
}

const fields = { invalidate: names, invalidateTags: names }

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
}

/**
 * The names that an invalidation stands for, each once.
 * @throws InvalidNameError for what is not a name
 */
export function namesOf (what: string, given: unknown): string[] {
  const list: unknown = typeof given === 'string' ? [given] : given
  if (!isTextList(list)) throw new InvalidNameError(what, show(given))
  return [...new Set(list)]
}
