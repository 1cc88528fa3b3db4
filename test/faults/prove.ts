import t from 'tap'
import { observe, type Fault, type Report } from './outage.js'

const TIMEOUT = 500

/** One test for each fault: what a client must and must not notice of it. */
export function proveAll (faults: readonly Fault[]): void {
  for (const fault of faults) {
    t.test(`${fault.name}: clients notice only the speed`, async (t) => {
      const report = await observe(fault)
      t.comment(inOneLine(report))
      t.equal(report.refused, 0, 'every answer is a 200')
      t.ok(report.slowest < TIMEOUT + 200, 'the first who wait do so for one timeout at the most')
      t.equal(report.askedWhileShut, 0, 'once the fault is known nobody waits')
      t.equal(report.staleAfter, 0, 'nothing stale is read afterwards')
      t.ok(report.resumed < 2_000, 'the cache is used again soon')
      t.equal(report.pending, 0, 'every invalidation is delivered')
      t.ok(report.complaints < 30, 'the log is not flooded')
    })
  }
}

export function inOneLine (report: Report): string {
  return Object.entries(report).map(([name, value]) => `${name}: ${typeof value === 'number' ? Math.round(value) : value}`).join(', ')
}
