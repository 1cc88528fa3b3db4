import { join } from 'node:path'
import t from 'tap'
import { plainNode } from '../support/plain-node.js'
import { isNewer, type Scored } from './conformance.js'

/** What a cache in front of its own handler has to pass; it never revalidates, and never stores a Set-Cookie. */
const WHOLE_SECTIONS = ['expires', 'vary-parse', 'headers']
const SECTIONS_BUT_CHECKS = ['cc-freshness', 'invalidation']
const REQUIRED_OF_SECTIONS = ['cc-parse', 'expires-parse', 'heuristic', 'status', 'vary', 'other', 'cc-response']
const TESTS = [
  'conditional-lm-fresh', 'conditional-lm-fresh-earlier', 'conditional-304-etag', 'conditional-etag-precedence',
  'conditional-etag-strong-respond', 'conditional-etag-weak-respond', 'partial-use-headers', 'partial-use-stored-headers',
  'ccreq-ma0', 'ccreq-ma1', 'ccreq-magreaterage', 'ccreq-min-fresh', 'ccreq-min-fresh-age', 'ccreq-no-cache', 'ccreq-oic',
  'status-599-must-understand', 'vary-normalise-combine', 'vary-normalise-lang-order', 'vary-normalise-lang-case',
  'vary-normalise-lang-space', 'vary-normalise-space', 'stale-sie-close', 'stale-sie-503'
]
const FAMILIES = ['partial-store-complete-reuse-partial']
const EXCEPT = ['headers-store-Set-Cookie', 'headers-store-Set-Cookie2', 'cc-resp-must-revalidate-stale']
// The older client wants a header of the origin's on an answer that the origin never gave.
if (isNewer) FAMILIES.push('stale-close-')
// The older suite does not have them; stale.test.ts asks the same.
if (isNewer) TESTS.push('stale-while-revalidate', 'stale-while-revalidate-window')

function isExpected ({ section, id, kind }: Scored): boolean {
  if (EXCEPT.includes(id)) return false
  return WHOLE_SECTIONS.includes(section) ||
    (SECTIONS_BUT_CHECKS.includes(section) && kind !== 'check') ||
    (REQUIRED_OF_SECTIONS.includes(section) && kind === 'required') ||
    TESTS.includes(id) ||
    FAMILIES.some((family) => id.startsWith(family))
}

/** Passed and all tests of each section. */
function score (scored: Scored[]): string {
  const sections = new Map<string, [passed: number, all: number]>()
  for (const { section, result } of scored) {
    const [passed, all] = sections.get(section) ?? [0, 0]
    sections.set(section, [passed + Number(result === true), all + 1])
  }
  return [...sections].map(([section, [passed, all]]) => `${section} ${passed}/${all}`).join(', ')
}

for (const store of ['memory', 'redis']) {
  for (const delivery of ['streamed', 'buffered']) {
    t.test(`the HTTP cache test suite passes through a proxy, responses ${delivery}, entries in ${store}`, async (t) => {
      const { stdout, stderr } = await plainNode([join(__dirname, 'conformance.js'), store, delivery])
      if (stdout === '') throw new Error(stderr)
      const scored = JSON.parse(stdout) as Scored[]
      t.comment(score(scored))

      const expected = scored.filter(isExpected)
      for (const id of TESTS) t.ok(expected.some((test) => test.id === id), `${id} was run`)
      t.ok(expected.length >= 145, `${expected.length} of the expected tests were run`)
      for (const { id, kind, result } of expected) t.same(result, true, `${id} (${kind})`)
    })
  }
}
