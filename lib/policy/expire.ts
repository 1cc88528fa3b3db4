import { types } from 'node:util'
import type { FastifyReply } from 'fastify'
import { InvalidFieldError } from '../errors.js'
import { ONE_YEAR_IN_SECONDS, toSeconds, type Duration } from './duration.js'
import { describe, duration, isFunction, isObject, type Field, type Fields } from './fields.js'
import type { OfRequest } from './of-request.js'

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

/** The statuses that may be stored, as names of properties: 200 to 599 without 206 and 304. */
type StorableStatus = Exclude<`${2 | 3 | 4 | 5}${Digit}${Digit}`, '206' | '304'>

/** How long an entry with each status is fresh. Responses with other statuses are not stored. */
export type ExpireByStatus = { readonly [Status in StorableStatus]?: Duration }

/** How long this response is fresh; 0 to not store it. */
export type ExpireFunction = OfRequest<[reply: FastifyReply, payload: unknown], Duration | 0>

/** Fields of a read policy that say what may be stored for how long. */
export interface ExpireDefaults {
  /**
   * How long an entry is fresh if the handler sets neither Cache-Control nor Expires. Required on
   * the plugin or on the route. A table by status, such as `{ 200: '1h', 404: '30s' }`, also says which
   * statuses may be stored, in place of `statuses`. A function is called after the handler, for what may
   * be stored otherwise, and returns a duration, or 0 to not store the response. If it throws or returns
   * anything else, such as a promise, the response is not stored.
   */
  expire?: Duration | ExpireByStatus | ExpireFunction
  /** The statuses that may be stored; default `[200]`. */
  statuses?: readonly number[]
  /**
   * The largest share of its lifetime, from 0 to 1, by which an entry becomes stale earlier, at random: entries
   * that were filled together do not become stale together. Never later. Default 0.
   */
  jitter?: number
}

export interface CompiledExpire {
  /** The statuses that may be stored, with the seconds for which an entry is fresh; Infinity if `expireOf` says it. */
  readonly lifetimes: ReadonlyMap<number, number>
  readonly expireOf: ExpireFunction | undefined
  readonly jitter: number
}

const isStorableStatus = (status: number): boolean =>
  Number.isInteger(status) && status >= 200 && status <= 599 && status !== 206 && status !== 304

/** Whether an `expire` is a table. */
const isByStatus = (expire: unknown): expire is ExpireByStatus => isObject(expire)

const expireField: Field = {
  accepts: (value) => isFunction(value)
    ? !types.isAsyncFunction(value)
    : isByStatus(value) ? isTable(value) : duration.accepts(value),
  expects: duration.expects,
  shows: (value) => `${shown(value)}; or a table of these by status, such as { 200: '1h', 404: '30s' }, ` +
    'or a function of request, reply and payload that returns one, or 0, and no promise'
}

export const expireFields: Fields<ExpireDefaults> = {
  expire: expireField,
  statuses: {
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isStorableStatus),
    expects: 'a list of statuses from 200 to 599 without 206 and 304'
  },
  jitter: {
    accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
    expects: 'a number from 0 to 1'
  }
}

const isTable = (table: object): boolean =>
  Object.keys(table).length > 0 && Object.entries(table).every((row) => isRow(row))

const isRow = ([status, expire]: [string, unknown]): boolean =>
  /^\d{3}$/.test(status) && isStorableStatus(Number(status)) && duration.accepts(expire)

function shown (value: unknown): string {
  if (types.isAsyncFunction(value)) return 'an async function'
  const wrong = isByStatus(value) ? Object.entries(value).find((row) => !isRow(row)) : undefined
  return wrong === undefined ? describe(value) : `a table with ${wrong[0]}: ${describe(wrong[1])}`
}

/**
 * Refuses `statuses` beside a table, which names the statuses itself.
 * @throws InvalidFieldError
 */
export function checkStatuses (what: string, { expire, statuses }: ExpireDefaults): void {
  if (!isByStatus(expire) || statuses === undefined) return
  const expected = 'left out where expire is a table: its statuses are stored, and no others'
  throw new InvalidFieldError(what, 'statuses', expected, describe(statuses))
}

/** Applies the defaults. */
export function compileExpire (
  { expire, statuses = [200], jitter = 0 }: ExpireDefaults & Required<Pick<ExpireDefaults, 'expire'>>
): CompiledExpire {
  if (isByStatus(expire)) {
    const rows = Object.entries(expire).map(([status, lasting]) => [Number(status), toSeconds(lasting)!] as const)
    return { lifetimes: new Map(rows), expireOf: undefined, jitter }
  }
  const expireOf = typeof expire === 'function' ? expire : undefined
  const seconds = typeof expire === 'function' ? Infinity : toSeconds(expire)!
  return { lifetimes: new Map(statuses.map((status) => [status, seconds])), expireOf, jitter }
}

/** The seconds of what the function of a policy returned; undefined if that is neither a duration nor 0. */
export const returnedSeconds = (returned: unknown): number | undefined =>
  returned === 0 ? 0 : duration.accepts(returned) ? toSeconds(returned as Duration) : undefined

/** What an `expire` function must return, as an error says it. */
export const EXPECTED_RETURN = `0, whole seconds up to ${ONE_YEAR_IN_SECONDS} or a duration`
