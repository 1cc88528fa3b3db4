import type { RedisClient } from './client.js'
import { isReply } from './errors.js'
import type { ServerRun } from './server-run.js'
import type { Topology } from './topology.js'

/** Runs a script on some keys of one server. */
export type RunScript = (keys: readonly string[], run: ServerRun) => Promise<unknown>

/** Calls `run` for all keys that one script can take; returns its replies with their keys. */
export async function inParts (
  topology: Topology, keys: readonly string[], run: RunScript
): Promise<Array<[keys: readonly string[], reply: unknown]>> {
  return await Promise.all(topology.together(keys).map(async (part): Promise<[readonly string[], unknown]> =>
    [part, await onTheirServer(topology, part, run)]))
}

/**
 * Runs a script once more if another server has taken the place of the one that replied meanwhile: what
 * that one has confirmed, this one may not have got. All scripts may safely run twice.
 */
async function onTheirServer (topology: Topology, keys: readonly string[], run: RunScript): Promise<unknown> {
  const serverNow = async (): Promise<ServerRun> => (await topology.runsOf(keys.slice(0, 1)))[0]!
  let server = await serverNow()
  for (;;) {
    const reply = await run(keys, server)
    const now = await serverNow()
    if (now === server) return reply
    server = now
  }
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
