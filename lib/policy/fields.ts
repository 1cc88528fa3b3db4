import { closest, distance } from 'fastest-levenshtein'
import { InvalidFieldError, MissingFieldError, UnknownFieldError } from '../errors.js'
import { ONE_YEAR_IN_SECONDS, toSeconds, toSettle, toSoft } from './duration.js'

/** What one field of an options object accepts, and how an error describes that. */
export interface Field {
  accepts: (value: unknown) => boolean
  expects: string
  /** How an error shows a value that is not accepted; default `describe`. */
  shows?: (value: unknown) => string
}

export type Fields<T> = { [K in keyof Required<T>]: Field }

/**
 * Refuses unknown fields and invalid values.
 * @throws UnknownFieldError, InvalidFieldError
 */
export function checkFields<T extends object> (what: string, value: T, fields: Fields<T>): void {
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(fields, name)) {
      throw new UnknownFieldError(what, name, meantBy(name, Object.keys(fields)))
    }
    const field = fields[name as keyof T]
    if (given !== undefined && !field.accepts(given)) {
      throw new InvalidFieldError(what, name, field.expects, (field.shows ?? describe)(given))
    }
  }
}

/** The share of its letters that a typo changes at most. A name from elsewhere is near to some name by chance only. */
const MAX_CHANGED = 0.6

function meantBy (name: string, known: readonly string[]): string {
  const nearest = closest(name, known)
  if (distance(name, nearest) <= name.length * MAX_CHANGED) return `'${nearest}'`
  return `one of ${known.map((one) => `'${one}'`).join(', ')}`
}

/**
 * Refuses an object that lacks one of the fields.
 * @throws MissingFieldError
 */
export function requireFields<T extends object> (what: string, value: T, names: ReadonlyArray<keyof T & string>): void {
  for (const name of names) {
    if (value[name] === undefined) throw new MissingFieldError(what, `'${name}' is required`)
  }
}

/** A value as an error message shows it: short, and without the source of a function or the content of an object. */
export function describe (value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 40)}'`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  return typeof value === 'object' || typeof value === 'function' ? `a value of type ${typeof value}` : String(value)
}

/** The same for a value that a function of a policy returned: it may come from a request, so it is not shown. */
export function describeReturned (value: unknown): string {
  // Nothing awaits promises that were returned by mistake. If they reject, the process must not crash.
  const promises = [value].flat().filter((one) => one instanceof Promise)
  for (const promise of promises) promise.catch(() => {})
  if (promises.length > 0) return value instanceof Promise ? 'a promise' : 'a list with a promise'
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'a string'
  return typeof value === 'number' || typeof value === 'bigint' ? 'a number' : describe(value)
}

/** The error for an invalid value that a function of a policy returned. */
export function unexpectedReturn (field: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${field} must return ${expected}, got ${describeReturned(value)}`)
}

export const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0
export const isFunction = (value: unknown): boolean => typeof value === 'function'
export const isBoolean = (value: unknown): boolean => typeof value === 'boolean'
export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
export const isTextList = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
export const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0

export const textList: Field = { accepts: isTextList, expects: 'a list of non-empty strings' }

export const headerNames: Field = {
  accepts: (value) => isTextList(value) && value.every((name) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && name !== '*'),
  expects: 'a list of header names'
}

/** How long after a write its database replicas may lag. */
export const settleField: Field = {
  accepts: (value) => toSettle(value) !== undefined,
  expects: "0 for none, whole seconds from 1 to 300 or a duration such as '2s' or '1m'"
}

/** For how long the old entries of a write may be used. */
export const softField: Field = {
  accepts: (value) => toSoft(value) !== undefined,
  expects: "whole seconds from 1 to 86400 or a duration such as '30s' or '5m'"
}

export const duration: Field = {
  accepts: (value) => (typeof value === 'number' || typeof value === 'string') && toSeconds(value) !== undefined,
  expects: `whole seconds from 1 to ${ONE_YEAR_IN_SECONDS} or a duration such as '15m' or '1 day'`
}

export const durationOrNone: Field = {
  accepts: (value) => value === 0 || duration.accepts(value),
  expects: `0 or ${duration.expects}`
}

/** A field with a few values to choose from. */
export const oneOf = (...choices: string[]): Field => ({
  accepts: (value) => choices.includes(value as string),
  expects: choices.map((choice) => `'${choice}'`).join(' or ')
})
