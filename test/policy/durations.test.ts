import t from 'tap'
import * as durations from '../../lib/policy/durations.js'
import { toSeconds } from '../../lib/policy/duration.js'
import apiCache from '../../index.js'

t.test('the constants are what their names say, a month 30 days and a year 365', async (t) => {
  t.match(durations, {
    ONE_MINUTE_IN_SECONDS: 60,
    ONE_HOUR_IN_SECONDS: 60 * 60,
    ONE_DAY_IN_SECONDS: 24 * 60 * 60,
    ONE_WEEK_IN_SECONDS: 7 * 24 * 60 * 60,
    ONE_MONTH_IN_SECONDS: 30 * 24 * 60 * 60,
    ONE_YEAR_IN_SECONDS: 365 * 24 * 60 * 60
  })
})

for (const unit of ['Minute', 'Hour', 'Day', 'Week', 'Month', 'Year'] as const) {
  t.test(`one${unit}() gives a policy that expire, keeps the rest and leaves the given one as it was`, async (t) => {
    const seconds = apiCache[`ONE_${unit.toUpperCase()}_IN_SECONDS` as 'ONE_DAY_IN_SECONDS']
    const policy = Object.freeze({ namespace: 'users', scope: 'shared' as const })
    t.strictSame(apiCache[`one${unit}`](policy), { namespace: 'users', scope: 'shared', expire: seconds })
  })
}

const texts: Array<[string, number]> = [
  ['1s', 1], ['1000ms', 1], ['90s', 90], ['15m', 900], ['15 minutes', 900], ['1h', 3_600], ['1.5h', 5_400], ['1H', 3_600], ['1 day', 86_400],
  ['30d', 2_592_000], ['2 weeks', 1_209_600], ['365d', 31_536_000], ['1y', 31_536_000], ['1 year', 31_536_000]
]
for (const [text, seconds] of texts) {
  t.test(`'${text}' is ${seconds} seconds`, async (t) => { t.equal(toSeconds(text), seconds) })
}

t.test('a duration must be whole seconds, from one second to one year', async (t) => {
  for (const expire of ['', ' ', '0s', '-1s', '999ms', '1.5s', '60', '86400000', '1m 30s', '1e3s', 'soon', '366d', '2y', '53 weeks', 0, -1, 0.5, 1.5, 31_536_001, NaN, Infinity, -Infinity]) {
    t.equal(toSeconds(expire), undefined, String(expire))
  }
})

t.test('numbers are seconds', async (t) => {
  for (const expire of [1, 59, 60, 31_536_000]) t.equal(toSeconds(expire), expire)
})
