import { randomUUID } from 'node:crypto'
import type { CacheStore, MaybePromise } from './contract.js'
import { entryCases } from './suite/entries.js'
import { intentCases } from './suite/intents.js'
import { leaseCases } from './suite/leases.js'
import { softCases } from './suite/soft-writes.js'
import { sweepCases } from './suite/sweeps.js'
import { versionCases } from './suite/versions.js'

/** One rule of the contract of a store, and its test. */
export interface StoreCase {
  readonly name: string
  /** Rejects with an AssertionError if the store breaks the rule. */
  run(): Promise<void>
}

/**
 * The contract of `CacheStore` as named cases, for any test runner:
 *
 *     for (const { name, run } of storeSuite(() => new MyStore())) test(name, run)
 *
 * All names that the cases use begin with a random string, so that they can run in parallel, and on a
 * store with other content.
 * @param open opens a store that is ready; each case opens one and closes it
 */
export function storeSuite (open: () => MaybePromise<CacheStore>): StoreCase[] {
  return Object.entries(cases).map(([name, prove]) => ({
    name,
    async run () {
      const store = await open()
      try {
        await prove(store, `suite-${randomUUID()}`)
      } finally {
        await store.close?.()
      }
    }
  }))
}

const cases = {
  ...entryCases,
  ...versionCases,
  ...sweepCases,
  ...intentCases,
  ...softCases,
  ...leaseCases
}
