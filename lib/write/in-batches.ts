import { setImmediate } from 'node:timers/promises'

/** Names that are worked on in one turn of the event loop: a request that brings many must not hold up all others. */
const BATCH = 200

/** Lists in parts, as long as one of them has more: each part in a turn of the event loop of its own. */
export async function * inBatches<Lists extends ReadonlyArray<readonly string[]>> (...lists: Lists): AsyncGenerator<Lists, void, undefined> {
  const longest = Math.max(...lists.map(({ length }) => length))
  for (let at = 0; at < longest; at += BATCH) {
    if (at > 0) await setImmediate()
    yield lists.map((list) => list.slice(at, at + BATCH)) as unknown as Lists
  }
}
