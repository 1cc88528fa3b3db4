import { textOf, type HeaderValue } from './headers.js'

/** Members that are looked at. There are not that many codings. */
const MAX_MEMBERS = 32

/** A coding, `identity` or `*`, with its weight. */
const MEMBER = /^[ \t]*([\w!#$%&'*+.^`|~-]+)[ \t]*(?:;[ \t]*q=([01](?:\.\d*)?)[ \t]*)?$/

/** The weights that a client gives to codings, from 0 (not acceptable) to 1 (RFC 9110 section 12.4.2). */
type Weights = ReadonlyMap<string, number>

/** Invalid members are ignored. If a coding is named twice, the lower weight counts. */
function weightsIn (header: string): Weights {
  const weights = new Map<string, number>()
  for (const member of header.toLowerCase().split(',', MAX_MEMBERS)) {
    const [, name, weight = '1'] = MEMBER.exec(member) ?? []
    if (name === undefined) continue
    // RFC 9110 section 8.4.1.3.
    const coding = name === 'x-gzip' ? 'gzip' : name
    weights.set(coding, Math.min(Number(weight), 1, weights.get(coding) ?? 1))
  }
  return weights
}

const weightOf = (weights: Weights, coding: string): number => weights.get(coding) ?? weights.get('*') ?? 0

/** Whether a client can read a coding. One that says nothing about codings accepts all (RFC 9110 section 12.5.3). */
export function isAcceptable (acceptEncoding: HeaderValue, coding: string): boolean {
  const header = textOf(acceptEncoding)
  return header === undefined || weightOf(weightsIn(header), coding) > 0
}

/**
 * The coding with the highest weight; of several, the first in `codings`. Undefined for none: the client
 * wants the body as it is, or says nothing about codings, or accepts none of these.
 */
export function preferredCoding<Coding extends string> (
  acceptEncoding: HeaderValue, codings: readonly Coding[]
): Coding | undefined {
  const header = textOf(acceptEncoding)
  if (header === undefined) return undefined
  const weights = weightsIn(header)
  let preferred: Coding | undefined
  let highest = 0
  for (const coding of codings) {
    const weight = weightOf(weights, coding)
    if (weight <= highest) continue
    preferred = coding
    highest = weight
  }
  return highest < (weights.get('identity') ?? 0) ? undefined : preferred
}
