import t from 'tap'
import type { Arena } from './failovers/arena.js'
import { clusterArena } from './failovers/cluster-arena.js'
import { failoverRounds } from './failovers/rounds.js'
import { sentinelArena } from './failovers/sentinel-arena.js'

const ROUNDS = 5

const arenas: Record<string, () => Promise<Arena>> = { 'behind a Sentinel': sentinelArena, 'in a Cluster': clusterArena }

for (const [where, start] of Object.entries(arenas)) {
  t.test(`soon after stalls, partitions and failovers nothing old is served any more: ${where}`, { timeout: 200_000 }, async (t) => {
    const arena = await start()
    t.teardown(() => arena.stop())
    const report = await failoverRounds(arena, ROUNDS, 1)
    t.comment(JSON.stringify(report))
    t.equal(report.oldAfter, 0)
    t.ok(report.hits > 100 && report.writes > 100)
  })
}
