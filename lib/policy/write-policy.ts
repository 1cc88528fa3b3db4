import type { FastifyRequest } from 'fastify'
import { InvalidFieldError, InvalidNameError, MissingFieldError } from '../errors.js'
import type { Duration } from './duration.js'
import {
  checkFields, describeReturned, isBoolean, isText, oneOf, settleField, type Field, type Fields
} from './fields.js'
import {
  checkSoft, isNames, isSoft, namesIn, type Invalidation, type SoftNamespaces, type SoftTags, type Target
} from './invalidation.js'
import { different, namesOf } from './names.js'

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
  | { invalidate: Invalidation | SoftNamespaces, invalidateTags?: Invalidation | SoftTags }
  | { invalidate?: Invalidation | SoftNamespaces, invalidateTags: Invalidation | SoftTags }
)

const namesOr = (soft: string): Field => ({
  accepts: (value) => isNames(value) || isSoft(value),
  expects: `a non-empty string, a list of them, a function of the request and the payload, or ${soft}`
})

const fields = {
  invalidate: namesOr("{ namespaces: 'user-cache', soft: '30s' }"),
  invalidateTags: namesOr("{ tags: 'user-7', soft: '30s' }"),
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
    if (isSoft(given)) checkSoft(`${what}: ${name}`, given, name)
    const invalidation = namesIn(given)
    if (invalidation !== undefined && typeof invalidation !== 'function') namesOf(`${what}: ${name}`, invalidation)
  }
  if (policy.strict === true) checkStrict(what, policy)
}

function checkStrict (what: string, policy: WritePolicy): void {
  if (policy.invalidateOn === 'success') {
    throw new InvalidFieldError(what, 'invalidateOn', "left out or 'settled' with strict: true", "'success'")
  }
  for (const name of ['invalidate', 'invalidateTags'] as const) {
    const given: unknown = policy[name]
    if (isSoft(given)) {
      throw new InvalidFieldError(what, name, 'without soft with strict: true, which lets nobody read old entries',
        'one with soft')
    }
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
  field: string, target: Target, request: FastifyRequest, payload?: unknown
): string[] {
  const invalidation = namesIn(target)
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
  [invalidate, invalidateTags].some((target) => typeof namesIn(target) === 'function')
