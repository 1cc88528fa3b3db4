import { parseArgs } from 'node:util'
import { soak } from './soak.js'

/** `npm run soak -- --requests 2000000 --outages 10` */
async function main (): Promise<void> {
  const { values } = parseArgs({ options: { requests: { type: 'string', default: '2000000' }, outages: { type: 'string', default: '10' } } })
  const report = await soak(Number(values.requests), Number(values.outages))
  console.log(report)
  const isFlat = report.refused === 0 && report.growth < 5 && report.listenersAfter <= report.listenersBefore
  process.exitCode = isFlat ? 0 : 1
}

main()
