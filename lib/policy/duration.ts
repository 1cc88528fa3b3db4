import { parse } from '@lukeed/ms'

export const ONE_MINUTE_IN_SECONDS = 60
export const ONE_HOUR_IN_SECONDS = 3_600
export const ONE_DAY_IN_SECONDS = 86_400
export const ONE_WEEK_IN_SECONDS = 604_800
/** 30 days. */
export const ONE_MONTH_IN_SECONDS = 2_592_000
/** 365 days. Also the longest `expire`. */
export const ONE_YEAR_IN_SECONDS = 31_536_000

/** Seconds, or a string such as `'15m'` or `'1 day'`: one second to one year. */
export type Duration = number | string

/** The parser takes '1 year' as 365.25 days; here it is 365 days, the longest duration. */
const ONE_YEAR_AS_TEXT = 31_557_600

/** A duration in whole seconds; undefined if it is not one from one second to one year. */
export function toSeconds (expire: number | string): number | undefined {
  const seconds = typeof expire === 'string' ? textToSeconds(expire) : expire
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= ONE_YEAR_IN_SECONDS ? seconds : undefined
}

/** Longest `settle` in seconds: a replica that lags for longer is broken. */
const MAX_SETTLE = 300

/** The milliseconds of a `settle`, 0 for none; undefined if it is neither 0 nor one second to five minutes. */
export function toSettle (settle: unknown): number | undefined {
  return settle === 0 ? 0 : toMilliseconds(settle, MAX_SETTLE)
}

/** Longest `soft` in seconds: it is to bridge a refill. */
const MAX_SOFT = ONE_DAY_IN_SECONDS

/** The milliseconds of a `soft`; undefined if it is not one second to one day. */
export function toSoft (soft: unknown): number | undefined {
  return toMilliseconds(soft, MAX_SOFT)
}

function toMilliseconds (given: unknown, longest: number): number | undefined {
  const seconds = typeof given === 'number' || typeof given === 'string' ? toSeconds(given) : undefined
  return seconds !== undefined && seconds <= longest ? seconds * 1000 : undefined
}

/** A string without a unit is invalid: the parser would take it as milliseconds. */
function textToSeconds (text: string): number {
  const milliseconds = /[a-z]$/i.test(text) ? parse(text) : undefined
  const seconds = (milliseconds ?? NaN) / 1000
  return seconds === ONE_YEAR_AS_TEXT ? ONE_YEAR_IN_SECONDS : seconds
}
