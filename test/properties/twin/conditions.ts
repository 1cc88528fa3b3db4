/*
 * Conditions and ranges as RFC 9110 has them, in sections 13 and 14: written apart from the plugin, which
 * is judged by them.
 */

type Headers = Readonly<Record<string, string | undefined>>

export const CONDITIONS = ['if-none-match', 'if-modified-since', 'range', 'if-range'] as const

export interface Validators {
  /** Whether this entity tag, with or without `W/`, is the answer's. */
  readonly matches: (tag: string, comparison: 'weak' | 'strong') => boolean
  readonly lastModified: string | undefined
}

/** A part of a body, by its first and last byte. */
export interface Part {
  readonly first: number
  readonly last: number
}

export type Outcome = 'not modified' | 'whole' | 'unsatisfiable' | Part

/** What becomes of a 200 for a request with these headers (section 13.2.2). */
export function outcomeOf (method: string, headers: Headers, validators: Validators, size: number): Outcome {
  const { matches, lastModified } = validators
  const noneMatch = headers['if-none-match']
  const since = headers['if-modified-since']
  if (noneMatch !== undefined) {
    const isListed = noneMatch === '*' || noneMatch.split(',').some((tag) => matches(tag.trim(), 'weak'))
    if (isListed) return 'not modified'
  } else if (since !== undefined && lastModified !== undefined && Date.parse(lastModified) <= Date.parse(since)) {
    return 'not modified'
  }
  if (method !== 'GET' || headers.range === undefined) return 'whole'
  const ifRange = headers['if-range']
  if (ifRange !== undefined && ifRange !== lastModified && !matches(ifRange, 'strong')) return 'whole'
  return partOf(headers.range, size)
}

/** One range of bytes (section 14.1.2); several ranges, other units and nonsense leave the whole. */
function partOf (range: string, size: number): Outcome {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? []
  if (from === '' && to === '') return 'whole'
  if (from === '') return Number(to) === 0 ? 'unsatisfiable' : { first: Math.max(0, size - Number(to)), last: size - 1 }
  if (to !== '' && Number(to) < Number(from)) return 'whole'
  if (Number(from) >= size) return 'unsatisfiable'
  return { first: Number(from), last: to === '' ? size - 1 : Math.min(Number(to), size - 1) }
}
