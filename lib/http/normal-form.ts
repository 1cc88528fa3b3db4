import { textOf } from './headers.js'

/** Fields whose members have weights (RFC 9110 section 12.4.2). Their members are not case-sensitive. */
const WEIGHTED = new Set(['accept', 'accept-charset', 'accept-encoding', 'accept-language'])
/**
 * Of members with equal weights the order counts, because applications prefer the first. Not so for
 * languages: RFC 9110 section 12.5.4 says that it cannot be relied upon.
 */
const UNORDERED = new Set(['accept-language'])
/** Fields that are no lists: a comma belongs to the value. */
const SINGLE = new Set(['authorization', 'cookie', 'proxy-authorization'])

/** Members of a list; a comma within a quoted string does not end one. */
const MEMBER = /(?:"(?:[^"\\]|\\.)*"?|[^",])+/g
const WEIGHT = /;\s*q=([\d.]+)\s*$/i

/**
 * The normal form of a request header that selects a variant: values that mean the same have one
 * (RFC 9111 section 4.1).
 */
export function normalForm (name: string, value: string | string[]): string {
  const text = textOf(value)!
  if (SINGLE.has(name)) return text
  if (!/[\s,;]/.test(text)) return WEIGHTED.has(name) ? text.toLowerCase() : text
  const members = (text.match(MEMBER) ?? []).map((member) => member.trim()).filter((member) => member !== '')
  return (WEIGHTED.has(name) ? byWeight(members, UNORDERED.has(name)) : members).join(',')
}

interface Weighted {
  readonly member: string
  readonly weight: number
}

function byWeight (members: readonly string[], isUnordered: boolean): string[] {
  const weighted = members.map((member) => weightedOf(member.toLowerCase()))
  if (isUnordered) weighted.sort((a, b) => (a.member < b.member ? -1 : 1))
  return weighted
    .sort((a, b) => b.weight - a.weight)
    .map(({ member, weight }) => weight === 1 ? member : `${member};q=${weight}`)
}

function weightedOf (text: string): Weighted {
  const weight = Number(WEIGHT.exec(text)?.[1] ?? 1)
  // An invalid weight is part of the member.
  return Number.isNaN(weight) || weight > 1
    ? { member: text, weight: 1 }
    : { member: text.replace(WEIGHT, '').replace(/\s*;\s*/g, ';').trim(), weight }
}
