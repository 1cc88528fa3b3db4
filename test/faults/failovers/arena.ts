import type { ApiCacheOptions } from '../../../index.js'
import type { Random } from '../../support/random.js'

/** What can go wrong in one round, and is healed when it resolves. */
export interface Fault {
  readonly name: string
  run (random: Random): Promise<void>
}

/** Servers of which some stand in for others, and the ways of the members to them. */
export interface Arena {
  readonly faults: readonly Fault[]
  /** The way of a member to the cache. */
  redis (member: number): Promise<ApiCacheOptions['redis']>
  /** Resolves when all servers have their part again, and replicas have what their masters have. */
  healed (): Promise<void>
  stop (): Promise<void>
}
