import { InvalidNameError, PatternNameError, TooManyNamesError } from '../errors.js'
import { describeReturned, isTextList } from './fields.js'

/** Most names of one invalidation: more than a request body of a megabyte can hold. */
const MAX_NAMES = 100_000

/**
 * The names that were given, without duplicates.
 * @throws InvalidNameError if one of them is not a name, PatternNameError, TooManyNamesError
 */
export function namesOf (what: string, given: unknown): string[] {
  const list: unknown = typeof given === 'string' ? [given] : given
  if (!isTextList(list)) throw new InvalidNameError(what, describeReturned(given))
  const pattern = list.find((name) => /^\*+$/.test(name))
  if (pattern !== undefined) throw new PatternNameError(what, pattern)
  return different(what, list)
}

/** @throws TooManyNamesError */
export function different (what: string, names: readonly string[]): string[] {
  if (names.length > MAX_NAMES) throw new TooManyNamesError(what, MAX_NAMES, names.length)
  return [...new Set(names)]
}
