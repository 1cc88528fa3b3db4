import {
  ONE_DAY_IN_SECONDS, ONE_HOUR_IN_SECONDS, ONE_MINUTE_IN_SECONDS, ONE_MONTH_IN_SECONDS, ONE_WEEK_IN_SECONDS,
  ONE_YEAR_IN_SECONDS
} from './duration.js'
import type { ReadPolicy } from './read-policy.js'

export {
  ONE_DAY_IN_SECONDS, ONE_HOUR_IN_SECONDS, ONE_MINUTE_IN_SECONDS, ONE_MONTH_IN_SECONDS, ONE_WEEK_IN_SECONDS,
  ONE_YEAR_IN_SECONDS
}

type PolicyWithoutExpire = Omit<ReadPolicy, 'expire'>

const lasting = (seconds: number) => (policy: PolicyWithoutExpire): ReadPolicy => ({ ...policy, expire: seconds })

export const oneMinute = lasting(ONE_MINUTE_IN_SECONDS)
export const oneHour = lasting(ONE_HOUR_IN_SECONDS)
export const oneDay = lasting(ONE_DAY_IN_SECONDS)
export const oneWeek = lasting(ONE_WEEK_IN_SECONDS)
export const oneMonth = lasting(ONE_MONTH_IN_SECONDS)
export const oneYear = lasting(ONE_YEAR_IN_SECONDS)
