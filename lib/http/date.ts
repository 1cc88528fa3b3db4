/** Which one it is nobody reads, and senders get it wrong. */
const WEEKDAY = /^(?:mon|tue|wed|thu|fri|sat|sun), /i
const RFC_850 = /^(\w{3})\w*, (\d\d)-(\w{3})-(\d\d) (\S+) GMT$/i
const ASCTIME = /^(\w{3}) (\w{3}) ([ \d]\d) (\S+) (\d{4})$/

/**
 * The milliseconds that an HTTP-date stands for, in its form of today or one of the two obsolete
 * ones; undefined for anything else (RFC 9110 section 5.6.7).
 */
export function httpDate (text: string): number | undefined {
  const modern = text
    .replace(RFC_850, (_, weekday, day, month, year, time) => `${weekday}, ${day} ${month} ${century(Number(year))} ${time} GMT`)
    .replace(ASCTIME, (_, weekday, month, day: string, time, year) => `${weekday}, ${day.replace(' ', '0')} ${month} ${year} ${time} GMT`)
  const at = Date.parse(modern)
  // Date.parse takes nearly everything; only a date that it writes back as it was is one of HTTP's.
  return WEEKDAY.test(modern) && new Date(at).toUTCString().slice(5).toLowerCase() === modern.slice(5).toLowerCase() ? at : undefined
}

/** Two digits more than 50 years ahead are the past. */
function century (year: number): number {
  const now = new Date().getUTCFullYear()
  const near = now - (now % 100) + year
  return near > now + 50 ? near - 100 : near
}

let second = 0
let dateOfSecond = ''

/** A time, in milliseconds since 1970, as an HTTP-date: made once a second, as Node does for its own. */
export function httpDateOf (milliseconds: number): string {
  const now = Math.floor(milliseconds / 1000)
  if (now !== second) {
    second = now
    dateOfSecond = new Date(milliseconds).toUTCString()
  }
  return dateOfSecond
}
