import { createClient } from 'redis'
import type { Fault } from './outage.js'

/** Faults of servers at a URL, and the same for applications that hand in a client of node-redis. */
export const alsoOverNodeRedis = (faults: readonly Fault[]): Fault[] => [...faults, ...faults.map(overNodeRedis)]

function overNodeRedis (fault: Fault): Fault {
  return {
    name: `${fault.name}, a client of node-redis`,
    async stage () {
      const staged = await fault.stage()
      return { ...staged, redis: () => createClient({ url: staged.redis() as string }) }
    }
  }
}
