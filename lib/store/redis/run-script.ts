import type { RedisClient } from './client.js'
import { isReply } from './errors.js'
import type { ServerRun } from './server-run.js'
import type { Topology } from './topology.js'

/** Runs a script on some keys of one server. */
export type RunScript = (keys: readonly string[], run: ServerRun) => Promise<unknown>

/** Calls `run` once for all keys that one script can take; returns its replies with their keys. */
export async function inParts (
  topology: Topology, keys: readonly string[], run: RunScript
): Promise<Array<[keys: readonly string[], reply: unknown]>> {
  const parts = topology.together(keys)
  const runs = await topology.runsOf(parts.map(([first]) => first!))
  return await Promise.all(parts.map(async (part, index): Promise<[readonly string[], unknown]> =>
    [part, await run(part, runs[index]!)]))
}

/** Runs a script that writes, also if Redis is full: an invalidation takes few bytes, and then frees many. */
export async function runAlsoIfFull (
  client: RedisClient, script: string, keys: readonly string[], args: ReadonlyArray<string | number>
): Promise<unknown> {
  try {
    return await client.eval(script, keys.length, ...keys, ...args)
  } catch (error) {
    if (!isReply(error, 'OOM')) throw error
    // Since Redis 7. An earlier one says so in another way.
    return await client.eval(`#!lua flags=allow-oom\n${script}`, keys.length, ...keys, ...args)
  }
}
