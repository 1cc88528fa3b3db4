import { parse } from '@lukeed/ms'
import { ONE_YEAR_IN_SECONDS } from './durations.js'

/** Seconds, or a text such as `'15m'` or `'1 day'`: one second to one year. */
export type Duration = number | string

/** A text of '1 year' stands for 365.25 days to the library that reads it, here for the longest there is. */
const ONE_YEAR_AS_TEXT = 31_557_600

/**
 * The whole seconds that `expire` stands for, or undefined when it is not a duration from one
 * second to one year.
 */
export function toSeconds (expire: number | string): number | undefined {
  const seconds = typeof expire === 'string' ? textToSeconds(expire) : expire
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= ONE_YEAR_IN_SECONDS ? seconds : undefined
}

/** A number alone would be milliseconds to the library: without a unit it is no duration. */
function textToSeconds (text: string): number {
  const milliseconds = /[a-z]$/i.test(text) ? parse(text) : undefined
  const seconds = (milliseconds ?? NaN) / 1000
  return seconds === ONE_YEAR_AS_TEXT ? ONE_YEAR_IN_SECONDS : seconds
}
