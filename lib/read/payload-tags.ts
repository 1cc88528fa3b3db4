import type { Entry } from '../entry/entry.js'
import type { Runtime } from '../runtime.js'
import { CLOSED, isSettling } from '../store/contract.js'
import { UNAVAILABLE, type Unavailable } from '../store/guarded-store.js'
import { oldSince } from '../store/validity.js'
import { newVersion } from '../write/version.js'
import type { Exchange } from './exchange.js'
import { softenedSince } from './old-since.js'
import { storeWaitOf } from './store-wait.js'

/*
 * Tags that are only known from the payload. Their versions cannot be read before the handler runs.
 * So the versions of all tag groups are read before it and compared after it: a group's version is
 * always bumped before the versions of its tags.
 */

/** The versions of an entry that are not part of its key: those of its payload's tags. */
export function payloadTagsOf (entry: Entry, asked: readonly string[]): readonly string[] {
  const known = new Set(asked)
  return Object.keys(entry.versions).filter((version) => !known.has(version))
}

/** Since when an entry is old by these versions; see `oldSince`. */
export async function tagsOldSince (
  { route, request }: Exchange, entry: Entry, names: readonly string[]
): Promise<number | undefined | Unavailable> {
  const { store, bumps } = route.runtime
  const wait = storeWaitOf(request)
  if (bumps.blocks(names)) return UNAVAILABLE
  const current = await store.call('versions', (store) => store.versions(names), wait)
  if (current === UNAVAILABLE || bumps.blocks(names)) return UNAVAILABLE
  return oldSince(entry.versions, names, current) ??
    await softenedSince(route.runtime, entry, { names, current }, wait)
}

/** The versions of all tag groups before the handler runs; undefined if the store is unavailable. */
export async function groupVersions ({ route, request }: Exchange): Promise<readonly string[] | undefined> {
  const { store, keyspace } = route.runtime
  const ensured = store.call('ensure', (store) => store.ensure(keyspace.tagGroups, newVersion()), storeWaitOf(request))
  const versions = await ensured
  return versions === UNAVAILABLE ? undefined : versions
}

/**
 * Adds the versions of its payload's tags to an entry.
 * @param before the versions of all groups before the handler ran
 * @returns undefined if one of the tags may have been invalidated since
 */
export async function withPayloadTags (
  { store, keyspace, bumps }: Runtime, entry: Entry, tags: readonly string[], before: readonly string[] | undefined
): Promise<Entry | undefined> {
  const names = tags.map((tag) => keyspace.tag(tag))
  const groups = [...new Set(tags.map((tag) => keyspace.tagGroup(tag)))]
  const current = await store.call('ensure', (store) => store.ensure(names, newVersion()))
  if (current === UNAVAILABLE || current.includes(CLOSED)) return undefined
  // After the tags, because a group is bumped before its tags.
  const after = await store.call('ensure', (store) => store.ensure(groups, newVersion()))
  if (after === UNAVAILABLE || after.includes(CLOSED) || bumps.blocks([...names, ...groups])) return undefined
  const isCurrent = groups.every((group, index) => after[index] === before?.[keyspace.tagGroups.indexOf(group)])
  if (!isCurrent) return undefined
  const versions = { ...entry.versions }
  // One by one: V8 is slow with many new names in a spread.
  names.forEach((name, index) => {
    versions[name] = current[index]!
    const group = keyspace.tagGroup(tags[index]!)
    const groupVersion = after[groups.indexOf(group)]!
    // The tag's window may have ended since the handler began. That of its group ends last.
    if (isSettling(groupVersion) && !isSettling(current[index]!)) versions[group] = groupVersion
  })
  return { ...entry, versions }
}
