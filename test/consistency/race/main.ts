import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { race, report, type RaceSettings } from './driver.js'
import { LAG, type Broken, type StoreName } from './stores.js'

/*
 * npm run race -- --store redis --reads 1000000 --writes 20000 --outages 50 --seed 7
 *
 * Ends with 1 when a read was stale or refused, or when so few were HITs that the run proves little.
 */
const MIN_HIT_SHARE = 0.3

async function main (): Promise<void> {
  const { values } = parseArgs({
    options: {
      store: { type: 'string', default: 'redis' },
      reads: { type: 'string', default: '200000' },
      writes: { type: 'string', default: '2000' },
      servers: { type: 'string', default: '3' },
      clients: { type: 'string', default: '100' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      outages: { type: 'string', default: '0' },
      broken: { type: 'string' }
    }
  })
  if (!Object.hasOwn(LAG, values.store)) throw new Error(`--store is one of ${Object.keys(LAG).join(', ')}`)
  if (!['versions', 'deliveries', 'softness', undefined].includes(values.broken)) throw new Error('--broken is versions, deliveries or softness')
  const settings: RaceSettings = {
    store: values.store as StoreName,
    reads: Number(values.reads),
    writes: Number(values.writes),
    servers: Number(values.servers),
    clients: Number(values.clients),
    seed: Number(values.seed),
    outages: Number(values.outages),
    broken: values.broken as Broken | undefined
  }
  const result = await race(settings)
  console.log(report(settings, result))
  if (result.stale.length > 0 || result.refused > 0 || result.hits < result.reads * MIN_HIT_SHARE) process.exitCode = 1
}

void main()
