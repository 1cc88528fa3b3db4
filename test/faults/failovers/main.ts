import { parseArgs } from 'node:util'
import { clusterArena } from './cluster-arena.js'
import { failoverRounds } from './rounds.js'
import { sentinelArena } from './sentinel-arena.js'

/** `npm run failovers -- --rounds 200 --seed 1 --on sentinel` */
async function main (): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' }, on: { type: 'string', default: 'sentinel' } }
  })
  const arena = values.on === 'cluster' ? await clusterArena() : await sentinelArena()
  try {
    const report = await failoverRounds(arena, Number(values.rounds), Number(values.seed), console.log)
    console.log(report)
    process.exitCode = report.oldAfter === 0 ? 0 : 1
  } finally {
    await arena.stop()
  }
}

main()
