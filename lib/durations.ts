import { parse } from '@lukeed/ms'
import type { ReadPolicy } from './policy/read-policy.js'

export const ONE_MINUTE_IN_SECONDS = 60
export const ONE_HOUR_IN_SECONDS = 3_600
export const ONE_DAY_IN_SECONDS = 86_400
export const ONE_WEEK_IN_SECONDS = 604_800
/** 30 days. */
export const ONE_MONTH_IN_SECONDS = 2_592_000
/** 365 days: also the longest `expire` there is. */
export const ONE_YEAR_IN_SECONDS = 31_536_000

/** A text of '1 year' stands for 365.25 days to the library that reads it, here for the longest there is. */
const ONE_YEAR_AS_TEXT = 31_557_600

type PolicyWithoutExpire = Omit<ReadPolicy, 'expire'>

const lasting = (seconds: number) => (policy: PolicyWithoutExpire): ReadPolicy => ({ ...policy, expire: seconds })

export const oneMinute = lasting(ONE_MINUTE_IN_SECONDS)
export const oneHour = lasting(ONE_HOUR_IN_SECONDS)
export const oneDay = lasting(ONE_DAY_IN_SECONDS)
export const oneWeek = lasting(ONE_WEEK_IN_SECONDS)
export const oneMonth = lasting(ONE_MONTH_IN_SECONDS)
export const oneYear = lasting(ONE_YEAR_IN_SECONDS)

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
