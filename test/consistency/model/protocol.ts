import { canonical } from './canonical.js'
import type { Step } from './explorer.js'
import { readerSteps } from './reader.js'
import type { Scenario, State } from './state.js'
import { withoutUseless } from './soft-canonical.js'
import { softReaderSteps } from './soft-reader.js'
import { through } from './versions.js'
import { worldSteps } from './world.js'
import { writerSteps } from './writer.js'

/*
 * The protocol of versions, as lib speaks it: one cached route that shows one value, two readers, and
 * two writers, one of which may hold its versions. What else there is, the scenario says:
 *
 * - one crash, and one key that is lost or one bump that is done twice;
 * - handlers that read from a replica of the database, and windows for it (`settle`);
 * - a replica of Redis that takes the place of its master with a part of what that has confirmed;
 * - entries that become old by time, and are refreshed, in vain perhaps;
 * - a third writer, of whom two write softly: what they make old may be used until a window is over, or until
 *   another writes.
 *
 * Each step below is one thing that happens at one moment: an answer of the store, of the database, or
 * what the plugin does between two of them. These functions of lib take it (a test looks for each of them):
 *
 *   lookup            lookup, evaluate                   lib/read/lookup.ts
 *   softened          compared, softenedSince            lib/read/old-since.ts
 *   areCurrent        tagsOldSince                       lib/read/payload-tags.ts
 *   bridge            bridge, refreshedOr                lib/read/refresh/bridge.ts
 *   refreshed         refreshed, refreshedOr             lib/read/refresh/bridge.ts
 *   refresh           refreshAfter, refresh              lib/read/refresh/refresh.ts
 *   coalesce          coalesce                           lib/read/coalesce/coalesce.ts
 *   join              FillsInFlight.join                 lib/read/coalesce/fills-in-flight.ts
 *   wait              FillInFlight.whenPublished         lib/read/coalesce/fills-in-flight.ts
 *   answers           answers                            lib/read/coalesce/coalesce.ts
 *   groupVersions     groupVersions                      lib/read/payload-tags.ts
 *   fill              fill                               lib/read/fill/fill.ts
 *   withPayloadTags   withPayloadTags                    lib/read/payload-tags.ts
 *   compareGroups     withPayloadTags                    lib/read/payload-tags.ts
 *   publish           Fill.#keep, Fill.#publish          lib/read/fill/life.ts
 *   release           FillsInFlight.release              lib/read/coalesce/fills-in-flight.ts
 *   begin             Intent.begin                       lib/write/intent.ts
 *   window            Intent.#release                    lib/write/intent.ts
 *   end               Intent.end                         lib/write/intent.ts
 *   bump              Invalidation.invalidate            lib/write/invalidation.ts
 *   confirm           onTheirServer                      lib/store/redis/run-script.ts
 *   acknowledge       invalidateOnSend                   lib/fastify/write-hooks.ts
 *
 * Tags that a process remembers from a payload are compared with the versions of the lookup itself: that is `areCurrent`
 * without a step before it.
 *
 * A process that meets another Redis repeats what it remembers: `Bumps.repeat`.
 *
 * Who changes the order of any two of these, or what they compare, changes it here first, and
 * adds to `Fault` what the new order must not be.
 */

export const staleIn = (state: State): string | undefined => state.stale

/** Every step that anyone can take. */
export function stepsFrom (scenario: Scenario): (state: State) => Array<Step<State>> {
  const stepsOfReader = scenario.soft ? softReaderSteps : readerSteps
  // There are so many with soft writes that those which lead to no stale read are left out.
  const counts = (next: State): boolean => !scenario.soft || next.stale !== undefined || canStillBeStale(next)
  const steps = (state: State): Array<Step<State>> => [
    ...state.readers.flatMap(({ process }, index) => through(state, process, (state) => stepsOfReader(scenario, state, index))),
    ...state.writers.flatMap(({ process }, index) => through(state, process, (state) => writerSteps(scenario, state, index))),
    ...worldSteps(scenario, state)
  ]
  return (state) => !canStillBeStale(state)
    ? []
    : steps(state).filter(([, next]) => counts(next)).map(([name, next]) => [name, canonical(withoutUseless(scenario, next))])
}

/** Whether a read is to come, or under way, that began after an acknowledged write. */
const canStillBeStale = ({ readers }: State): boolean =>
  readers.some(({ at, floor, isRefresh }) => (at === 'lookup' && !isRefresh) || floor > 0)
