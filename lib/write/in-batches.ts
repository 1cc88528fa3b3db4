import { setImmediate } from 'node:timers/promises'

/** Names that are worked on in one tick of the event loop: a request that brings many must not hold up all others. */
const BATCH = 200

/** Yields the lists in parts, one per tick of the event loop, until the longest list is done. */
export async function * inBatches<Lists extends ReadonlyArray<readonly string[]>> (
  ...lists: Lists
): AsyncGenerator<Lists, void, undefined> {
  const longest = Math.max(...lists.map(({ length }) => length))
  for (let at = 0; at < longest; at += BATCH) {
    if (at > 0) await setImmediate()
    yield lists.map((list) => list.slice(at, at + BATCH)) as unknown as Lists
  }
}
