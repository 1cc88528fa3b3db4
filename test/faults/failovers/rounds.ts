import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../../support/random.js'
import { until } from '../../support/replication.js'
import type { Arena } from './arena.js'
import { startMembers } from './members.js'

/** Milliseconds after a fault within which a process must learn of a change. */
const SOON = 2_000
/** Milliseconds for which answers are watched then. */
const AFTER = 500

export interface FailoverReport {
  /** How often each fault happened. */
  readonly rounds: Readonly<Record<string, number>>
  readonly hits: number
  readonly writes: number
  /** Old answers while a fault lasted, within the time for learning, and after it. */
  readonly oldDuring: number
  readonly oldSoonAfter: number
  readonly oldAfter: number
  /** The latest of those within the time for learning, in milliseconds since the end of its fault. */
  readonly latest: number
}

/** Lets a fault happen in each round, while members read and write; resolves when every invalidation is delivered. */
export async function failoverRounds (arena: Arena, count: number, seed: number, tell: (line: string) => void = () => {}): Promise<FailoverReport> {
  const random = new Random(seed)
  const rounds: Record<string, number> = {}
  const sums = { oldDuring: 0, oldSoonAfter: 0, oldAfter: 0, latest: 0 }
  const members = await startMembers(arena, random)
  try {
    for (let round = 0; round < count; round++) {
      const fault = arena.faults[round < arena.faults.length ? round : random.below(arena.faults.length)]!
      rounds[fault.name] = (rounds[fault.name] ?? 0) + 1
      members.old.length = members.gaveUp.length = 0
      await fault.run(random)
      const end = performance.now()
      await delay(SOON + AFTER)
      const late = members.old.map(({ at }) => at - end)
      const soon = late.filter((at) => at >= 0 && at < SOON)
      const after = late.filter((at) => at >= SOON).length
      sums.oldDuring += late.filter((at) => at < 0).length
      sums.oldSoonAfter += soon.length
      sums.oldAfter += after
      sums.latest = Math.max(sums.latest, ...soon)
      tell(`${round} ${fault.name}: ${late.length - soon.length - after} during, ${soon.length} soon after ` +
        `(until ${Math.max(0, ...soon).toFixed()} ms), ${after} after; ${members.pending} pending` +
        members.gaveUp.filter(({ at }) => at > end).map(({ at, why }) => `; ${why} at ${(at - end).toFixed()} ms`).join(''))
      await arena.healed()
    }
    await until(async () => members.pending === 0)
    const { hits, writes } = members
    return { rounds, hits, writes, ...sums }
  } finally {
    await members.stop()
  }
}
