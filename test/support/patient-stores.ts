import type { Test } from 'tap'
import type { ApiCacheOptions } from '../../index.js'
import { eachStore } from './each-store.js'

/** Longer than a busy machine lets a Redis wait: for tests in which a request that was not answered in time is no excuse. */
export const PATIENT = { timeout: 20_000 }

/** Like `eachStore`, for tests that say exactly which requests are HITs. */
export function patientStores (): (sentence: string, run: (t: Test, options: ApiCacheOptions) => Promise<void>) => void {
  const test = eachStore()
  return (sentence, run) => { test(sentence, async (t, options) => { await run(t, { ...options, ...PATIENT }) }) }
}
