/** Only its form is checked: senders often get the weekday wrong. */
const WEEKDAY = /^(?:mon|tue|wed|thu|fri|sat|sun), /i
const RFC_850 = /^(\w{3})\w*, (\d\d)-(\w{3})-(\d\d) (\S+) GMT$/i
const ASCTIME = /^(\w{3}) (\w{3}) ([ \d]\d) (\S+) (\d{4})$/

/**
 * The time of an HTTP-date in milliseconds since 1970, in the preferred format or one of the two
 * obsolete ones (RFC 9110 section 5.6.7). Undefined for anything else.
 */
export function httpDate (text: string): number | undefined {
  const preferred = fromRfc850(text) ?? fromAsctime(text) ?? text
  const at = Date.parse(preferred)
  // Date.parse accepts many formats. A date is valid only if it is formatted to the same text.
  const formatted = new Date(at).toUTCString()
  const isSame = formatted.slice(5).toLowerCase() === preferred.slice(5).toLowerCase()
  return isSame && WEEKDAY.test(preferred) ? at : undefined
}

function fromRfc850 (text: string): string | undefined {
  const match = RFC_850.exec(text)
  if (match === null) return undefined
  const [, weekday, day, month, year, time] = match
  return `${weekday}, ${day} ${month} ${fullYear(Number(year))} ${time} GMT`
}

function fromAsctime (text: string): string | undefined {
  const match = ASCTIME.exec(text)
  if (match === null) return undefined
  const [, weekday, month, day, time, year] = match
  return `${weekday}, ${day!.replace(' ', '0')} ${month} ${year} ${time} GMT`
}

/** A two-digit year that would be more than 50 years ahead is in the past (RFC 9110 section 5.6.7). */
function fullYear (year: number): number {
  const now = new Date().getUTCFullYear()
  const near = now - (now % 100) + year
  return near > now + 50 ? near - 100 : near
}

let second = 0
let dateOfSecond = ''

/** A time in milliseconds since 1970 as an HTTP-date. The last one is kept, as Node does for its Date header. */
export function httpDateOf (milliseconds: number): string {
  const now = Math.floor(milliseconds / 1000)
  if (now !== second) {
    second = now
    dateOfSecond = new Date(milliseconds).toUTCString()
  }
  return dateOfSecond
}
