import type { Case, Expected } from './case.js'
import { CONDITIONS, outcomeOf, type Outcome, type Validators } from './conditions.js'
import { fieldDifferences, isOwnTag, lengthDifferences } from './fields.js'
import type { Answer, Asking } from './transport.js'

/** How an answer differs from the nearest one that would be right; nothing if it is right. */
export function judge (one: Case, got: Answer): string[] {
  let nearest: string[] | undefined
  for (const expected of expectedOf(one, got)) {
    const found = differences(one, expected, got)
    if (found.length === 0) {
      noteTag(one, expected, got)
      return storingDifferences(got)
    }
    if (nearest === undefined || found.length < nearest.length) nearest = [`not ${expected.what}:`, ...found]
  }
  return nearest!
}

function noteTag ({ twin: { whole, bytes }, tags }: Case, expected: Expected, { headers }: Answer): void {
  const tag = headers['etag']
  // The application's tag of a part that it sent itself.
  if (expected.isTwins === true && tag === expected.headers['etag']) return
  if (isOwnTag(tag, whole.headers['etag'])) tags.note(tag, bytes)
}

function differences (one: Case, expected: Expected, got: Answer): string[] {
  const found: string[] = []
  if (got.status !== expected.status) found.push(`status ${got.status} instead of ${expected.status}`)
  if (!got.body.equals(expected.body)) found.push(`body ${show(got.body)} instead of ${show(expected.body)}`)
  return [...found, ...fieldDifferences(one, expected, got), ...lengthDifferences(one, got)]
}

const show = (body: Buffer): string => JSON.stringify(body.toString())

/** What must not be stored, whatever leaves. */
function storingDifferences ({ headers }: Answer): string[] {
  if (!/fastify-api-cache[^,]*;stored/.test(headers['cache-status'] ?? '')) return []
  const found: string[] = []
  if (/private|no-store/.test(headers['cache-control'] ?? '') && headers['age'] === undefined && !isOurs(headers)) {
    found.push(`stored under Cache-Control: ${headers['cache-control']}`)
  }
  if (headers['set-cookie'] !== undefined) found.push('stored with Set-Cookie')
  return found
}

/** Under a scope the cache itself says `private` to the caches between. */
const isOurs = ({ 'cache-control': said = '' }: Answer['headers']): boolean => /^private, (no-cache|max-age=60)$/.test(said)

function expectedOf (one: Case, got: Answer): Expected[] {
  const { twin: { whole, direct } } = one
  const outcomes = outcomesOf(one)
  const answers = [...outcomes].map((outcome) => left(one, outcome))
  if (isBound(one, got)) return answers
  return [...answers, ...untagged(one), { ...whole, what: 'the whole answer' }, { ...direct, what: "the twin's own answer to the conditions", isTwins: true }]
}

/** An answer that is not stored gets no tag of the cache, so no If-None-Match keeps a range from being sent. */
function untagged (one: Case): Expected[] {
  const { asking: { method, headers }, twin: { whole, bytes } } = one
  if (whole.status !== 200 || whole.headers['etag'] !== undefined) return []
  return [left(one, outcomeOf(method, headers, { matches: () => false, lastModified: whole.headers['last-modified'] }, bytes.length))]
}

/** Whether the cache itself has to answer conditions and ranges: it has stored the answer, and has all of it. */
function isBound ({ application: { handler, hooks }, asking, twin: { trace } }: Case, { headers }: Answer): boolean {
  if (asking.method === 'HEAD' && trace.changed) return false
  const isStream = ['stream', 'web stream', 'Response'].includes(handler.sends)
  const isRewritten = hooks.some((hook) => hook.at === 'onSend' && hook.does === 'signs')
  if (headers['x-api-cache'] === 'HIT') return !(isStream && isRewritten)
  return !isStream && /;stored/.test(headers['cache-status'] ?? '')
}

/** What the conditions and the range of a request may come to; mostly that is one. */
function outcomesOf (one: Case): Set<Outcome> {
  const { asking: { method, headers }, twin: { whole, bytes, trace } } = one
  if (whole.status !== 200) return new Set<Outcome>(['whole'])
  const tag = whole.headers['etag']
  const lastModified = whole.headers['last-modified']
  const isStale = trace.changed && !trace.taggedLate && tag !== undefined
  const matches: Validators['matches'] = tag === undefined
    ? (asked, comparison) => one.tags.isOf(asked, comparison, bytes)
    : (asked, comparison) => !isStale && compare(asked, tag, comparison)
  const outcomes = new Set([outcomeOf(method, headers, { matches, lastModified }, bytes.length)])
  // A validator from before the body was changed says nothing about it: the cache may ignore what it cannot
  // answer, and a coding leaves the tag weak.
  if (isStale || trace.encoded || (trace.changed && lastModified !== undefined) || bytes.length === 0) {
    outcomes.add('whole')
    outcomes.add(outcomeOf(method, headers, { matches, lastModified: undefined }, bytes.length))
    if (trace.encoded && tag === undefined && headers['if-none-match']?.includes('W/') === true) outcomes.add('not modified')
    if (trace.encoded && tag !== undefined) {
      outcomes.add(outcomeOf(method, headers, { matches: (asked, how) => how === 'weak' && compare(asked, tag, how), lastModified }, bytes.length))
    }
  }
  return outcomes
}

const opaque = (tag: string): string => tag.replace(/^W\//, '')

/** RFC 9110 section 8.8.3.2. */
function compare (one: string, other: string, comparison: 'weak' | 'strong'): boolean {
  return comparison === 'weak' ? opaque(one) === opaque(other) : one === other && !one.startsWith('W/')
}

const EMPTY = Buffer.alloc(0)

function left ({ twin: { whole, bytes } }: Case, outcome: Outcome): Expected {
  if (outcome === 'whole') return { ...whole, what: 'the whole answer' }
  if (outcome === 'not modified') return { status: 304, headers: whole.headers, body: EMPTY, what: 'a 304' }
  const size = bytes.length
  if (outcome === 'unsatisfiable') {
    return { status: 416, headers: { ...whole.headers, 'content-range': `bytes */${size}` }, body: EMPTY, what: 'a 416' }
  }
  const { first, last } = outcome
  return {
    status: 206,
    headers: { ...whole.headers, 'content-range': `bytes ${first}-${last}/${size}` },
    body: bytes.subarray(first, last + 1),
    what: `a 206 of bytes ${first} to ${last}`
  }
}

/** A request without its conditions and ranges. */
export function unconditional ({ headers, ...asking }: Asking): Asking {
  const left = Object.entries(headers).filter(([name]) => !(CONDITIONS as readonly string[]).includes(name))
  return { ...asking, headers: Object.fromEntries(left) }
}
