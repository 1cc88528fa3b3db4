import type { ReadPolicy } from './read-policy.js'

export const ONE_MINUTE_IN_SECONDS = 60
export const ONE_HOUR_IN_SECONDS = 3_600
export const ONE_DAY_IN_SECONDS = 86_400
export const ONE_WEEK_IN_SECONDS = 604_800
/** 30 days. */
export const ONE_MONTH_IN_SECONDS = 2_592_000
/** 365 days: also the longest `expire` there is. */
export const ONE_YEAR_IN_SECONDS = 31_536_000

type PolicyWithoutExpire = Omit<ReadPolicy, 'expire'>

const lasting = (seconds: number) => (policy: PolicyWithoutExpire): ReadPolicy => ({ ...policy, expire: seconds })

export const oneMinute = lasting(ONE_MINUTE_IN_SECONDS)
export const oneHour = lasting(ONE_HOUR_IN_SECONDS)
export const oneDay = lasting(ONE_DAY_IN_SECONDS)
export const oneWeek = lasting(ONE_WEEK_IN_SECONDS)
export const oneMonth = lasting(ONE_MONTH_IN_SECONDS)
export const oneYear = lasting(ONE_YEAR_IN_SECONDS)
