import { toSoft, type Duration } from './duration.js'
import {
  checkFields, isFunction, isObject, isText, isTextList, requireFields, softField, type Field
} from './fields.js'
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

interface Soft {
  /**
   * For how long the entries that the write made old may still be used, from one second to one day, such as `'30s'`:
   * only where the policy of the route that is read lets stale entries be used (`staleWhileRevalidate`,
   * `staleIfError`). On other routes they are never used. Any write without `soft` ends it at once.
   */
  soft: Duration
}

/** Namespaces whose old entries may bridge the time until they are filled anew. */
export interface SoftNamespaces extends Soft {
  namespaces: Invalidation
}

/** Tags whose old entries may bridge the time until they are filled anew. */
export interface SoftTags extends Soft {
  tags: Invalidation
}

/** What a field of a write policy takes. */
export type Target = Invalidation | SoftNamespaces | SoftTags | undefined

export const isNames = (value: unknown): boolean =>
  isText(value) || isFunction(value) || (isTextList(value) && value.length > 0)

export const isSoft = (target: unknown): target is SoftNamespaces | SoftTags => isObject(target)

/** The names, however they are to be invalidated. */
export function namesIn (target: Target): Invalidation | undefined {
  if (!isSoft(target)) return target
  return 'namespaces' in target ? target.namespaces : target.tags
}

/** Milliseconds for which the old entries may be used; 0 for a hard write. */
export const softOf = (target: Target): number => isSoft(target) ? toSoft(target.soft)! : 0

const names: Field = {
  accepts: isNames,
  expects: 'a non-empty string, a list of them or a function of the request and the payload'
}

/** @throws UnknownFieldError, InvalidFieldError, MissingFieldError */
export function checkSoft (what: string, given: object, field: 'invalidate' | 'invalidateTags'): void {
  const name = field === 'invalidate' ? 'namespaces' : 'tags'
  const target = given as SoftNamespaces & SoftTags
  checkFields<object>(what, target, { [name]: names, soft: softField })
  requireFields(what, target, [name, 'soft'])
}
