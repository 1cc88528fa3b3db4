import type { Entry } from '../../index.js'

/** The times of an entry that is stored now and is fresh for some seconds. */
export function lasting (seconds: number): Pick<Entry, 'storedAt' | 'staleAt' | 'deleteAt' | 'initialAge'> {
  const storedAt = Date.now()
  const staleAt = storedAt + seconds * 1000
  return { storedAt, staleAt, deleteAt: staleAt, initialAge: 0 }
}
