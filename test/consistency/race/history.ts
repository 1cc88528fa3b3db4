/** A call that one of the driver's clients made, by the driver's clock. */
export interface Call {
  readonly register: string
  readonly kind: 'read' | 'write'
  readonly path: string
  /** The process that was asked. */
  readonly server: string
  readonly start: number
  readonly end: number
  /** What was read, or what the counter was after the write; undefined when no answer came. */
  readonly value: number | undefined
  readonly cache?: string
  /** The invalidations that the process had not delivered yet when it answered. */
  readonly pending?: number
  /** Milliseconds for which what a write has made old may be read; 0 (default) for a hard write. */
  readonly soft?: number
  /** What a write makes old: a hard one ends that for soft ones of the same names. */
  readonly names?: string
}

/** A read that returned less than a write that it had to know of. */
export interface StaleRead {
  readonly read: Call
  readonly write: Call
}

/**
 * All stale reads of a history. What a read has to know of:
 *
 * - every write that the same process acknowledged before the read began, delivered or not;
 * - every write of another process that was acknowledged and delivered before the read began, and
 *   `lag` milliseconds more where the store promises no better.
 *
 * Of a soft write it has to know when its time is over, or when a hard write to the same names was acknowledged that began
 * later, by the same two rules.
 *
 * A write counts as delivered when its process had nothing pending as it acknowledged it, or else
 * from the end of the first call to that process that began later and found nothing pending. One
 * whose process died before is never delivered: only `strict` writes promise more.
 */
export function staleReads (history: readonly Call[], lag = 0): StaleRead[] {
  const byAll = knownFrom(history, deliveries(history))
  const byOwn = new Map<string, (write: Call) => number>()
  for (const calls of groups(history, ({ server }) => server)) byOwn.set(calls[0]!.server, knownFrom(calls, ({ end }) => end))
  const stale: StaleRead[] = []
  for (const calls of groups(history.filter(({ value }) => value !== undefined), ({ register }) => register)) {
    const found = new Map<Call, Call>()
    const check = (among: readonly Call[], knownAt: (write: Call) => number): void => {
      for (const { read, write } of below(among, knownAt)) found.set(read, write)
    }
    check(calls, (write) => byAll(write) + lag)
    for (const ofServer of groups(calls, ({ server }) => server)) check(ofServer, byOwn.get(ofServer[0]!.server)!)
    for (const [read, write] of found) stale.push({ read, write })
  }
  return stale
}

/**
 * What was read, as writes that were acknowledged by then. Where writers hold their versions, a read that began later
 * has to know of it: even if the write has not ended, nobody knows how it ended, or its process has died.
 * @param isHeld whether the writers of this call's register do that
 */
export function seen (history: readonly Call[], isHeld: (call: Call) => boolean): Call[] {
  return history
    .filter((call) => call.kind === 'read' && call.value !== undefined && isHeld(call))
    .map(({ register, path, start, end, value }) => ({ register, kind: 'write', path, server: 'any', start, end, value }))
}

/** The reads that returned less than the greatest write that was known before they began. */
function below (calls: readonly Call[], knownAt: (write: Call) => number): StaleRead[] {
  const stale: StaleRead[] = []
  const writes = calls.filter(({ kind }) => kind === 'write').map((write) => ({ write, at: knownAt(write) })).sort((a, b) => a.at - b.at)
  const reads = calls.filter(({ kind }) => kind === 'read').sort((a, b) => a.start - b.start)
  let known = 0
  let greatest: Call | undefined
  for (const read of reads) {
    for (let next = writes[known]; next !== undefined && next.at < read.start; next = writes[++known]) {
      if (greatest === undefined || next.write.value! > greatest.value!) greatest = next.write
    }
    if (greatest !== undefined && read.value! < greatest.value!) stale.push({ read, write: greatest })
  }
  return stale
}

/** From when on reads have to know of each write, where those that are acknowledged are known from `confirmedAt` on. */
function knownFrom (history: readonly Call[], confirmedAt: (write: Call) => number): (write: Call) => number {
  const hard = new Map<string | undefined, (after: number) => number>()
  const isHard = ({ kind, value, soft = 0 }: Call): boolean => kind === 'write' && value !== undefined && soft === 0
  for (const writes of groups(history.filter(isHard), ({ names = '' }) => names)) {
    hard.set(writes[0]!.names, firstEnd(writes.map((write) => ({ start: write.start, end: confirmedAt(write) }))))
  }
  return (write) => {
    const { soft = 0, names, end } = write
    if (soft === 0) return confirmedAt(write)
    return Math.min(confirmedAt(write) + soft, hard.get(names)?.(end) ?? Infinity)
  }
}

/** When each write was known to be delivered; never, perhaps. */
function deliveries (history: readonly Call[]): (write: Call) => number {
  const clean = new Map<string, (after: number) => number>()
  for (const calls of groups(history.filter(({ pending }) => pending === 0), ({ server }) => server)) {
    clean.set(calls[0]!.server, firstEnd(calls))
  }
  return (write) => {
    if (write.pending === undefined || write.pending === 0) return write.end
    return clean.get(write.server)?.(write.end) ?? Infinity
  }
}

/** The end of the span that ends first of those that begin after a point in time. */
function firstEnd (spans: ReadonlyArray<{ readonly start: number, readonly end: number }>): (after: number) => number {
  const byStart = spans.map(({ start, end }) => ({ start, end })).sort((a, b) => a.start - b.start)
  // Of each and all that began later, the end of the first that ended.
  for (let index = byStart.length - 2; index >= 0; index--) byStart[index]!.end = Math.min(byStart[index]!.end, byStart[index + 1]!.end)
  return (after) => {
    let [low, high] = [0, byStart.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (byStart[middle]!.start > after) high = middle
      else low = middle + 1
    }
    return byStart[low]?.end ?? Infinity
  }
}

function groups (calls: readonly Call[], by: (call: Call) => string): Iterable<Call[]> {
  const found = new Map<string, Call[]>()
  for (const call of calls) {
    const group = found.get(by(call))
    if (group === undefined) found.set(by(call), [call])
    else group.push(call)
  }
  return found.values()
}
