import type { FastifyRequest } from 'fastify'
import type { Core } from '../../runtime.js'
import { initialAge, lifetimeOf } from '../../http/freshness.js'
import { UNAVAILABLE } from '../../store/guarded-store.js'
import type { Entry } from '../../entry/entry.js'
import { CLOSED, isPromise } from '../../store/contract.js'
import { newVersion } from '../../write/invalidator.js'
import type { Answer } from './answer.js'
import type { Beginning } from './fill.js'
import type { Outcome } from '../coalesce/fills-in-flight.js'
import { tagList } from '../../key/cache-key.js'
import type { Reader } from '../lookup.js'

/** A fill whose answer may be stored. */
export interface Filled {
  readonly core: Core
  readonly reader: Reader
  readonly request: FastifyRequest
  readonly beginning: Beginning
  /** What the handler sent, before serialization. */
  readonly payload: unknown
  /** The request headers that choose between answers like this one. */
  readonly variesOn: readonly string[]
  land(outcome: Outcome): void
}

/** Stores an answer. Off the response's path: nobody waits for the store, later callers find the flight meanwhile. */
export function keep (filled: Filled, answer: Answer, body: Buffer): void {
  const declared = answer.headers['content-length']
  if (declared !== undefined && Number(declared) !== body.length) return filled.land('unshared')
  const { core, reader, request } = filled
  const { payloadTags } = reader.policy
  if (payloadTags === undefined) return write(filled, entryOf(filled, answer, body))
  let tags: string[]
  try {
    tags = tagList(payloadTags(request, filled.payload))
  } catch (error) {
    core.complain(request.log, reader.route, error)
    return filled.land('unshared')
  }
  const entry = entryOf(filled, answer, body)
  if (tags.length === 0) return write(filled, entry)
  core.inBackground(withTags(filled, entry, tags).then((tagged) => {
    if (tagged === undefined) filled.land('overtaken')
    else write(filled, tagged)
  }))
}

function entryOf (filled: Filled, { status, headers, own, type, kind, text }: Answer, body: Buffer): Entry {
  const { identity, versions } = filled.beginning
  const { policy, route } = filled.reader
  const filledAt = Date.now()
  const age = initialAge(headers, filledAt)
  const filledUnder: Record<string, string> = {}
  for (const [index, version] of identity.versions.entries()) filledUnder[version] = versions[index]!
  return {
    route,
    versions: filledUnder,
    status,
    headers: type === undefined ? own.set : Object.assign(own.set, { 'content-type': type }),
    removed: own.removed,
    kind,
    body,
    text,
    filledAt,
    age,
    lifetime: lifetimeOf(headers, policy.expire, filledAt) - age
  }
}

/**
 * The entry under the versions of its payload's tags, too. They were not known when the handler
 * began to read, so none of their groups may have moved since.
 */
async function withTags ({ core, beginning }: Filled, entry: Entry, tags: string[]): Promise<Entry | undefined> {
  const { keyspace, door, invalidator } = core
  const keys = tags.map((tag) => keyspace.tag(tag))
  const groups = [...new Set(tags.map((tag) => keyspace.tagGroup(tag)))]
  const current = await door.pass('claim', (store) => store.claim(keys, newVersion()))
  if (current === UNAVAILABLE || current.includes(CLOSED)) return undefined
  // After the tags: a group moves before its tags do.
  const moved = await door.pass('claim', (store) => store.claim(groups, newVersion()))
  if (moved === UNAVAILABLE || moved.includes(CLOSED) || invalidator.blocks([...keys, ...groups])) return undefined
  const unmoved = groups.every((group, index) => moved[index] === beginning.tagGroups?.[keyspace.tagGroups.indexOf(group)])
  if (!unmoved) return undefined
  // One by one: V8 is slow with many names that it meets in a spread.
  const versions = { ...entry.versions }
  for (const [index, key] of keys.entries()) versions[key] = current[index]!
  return { ...entry, versions }
}

function write (filled: Filled, entry: Entry): void {
  const { core, reader, request, beginning: { flight, identity: asked }, variesOn } = filled
  const identity = reader.variantOf(asked, variesOn, request)
  core.counters.stored++
  filled.land({ entry, key: identity.key })
  if (identity.base !== undefined) {
    put(core, identity.base.key, { ...entry, headers: {}, removed: undefined, kind: 'empty', body: Buffer.alloc(0), text: undefined, variesOn })
  }
  put(core, identity.key, entry, () => { core.flights.endSoon(asked.key, flight) })
}

function put (core: Core, key: string, entry: Entry, stored: () => void = () => {}): void {
  const written = core.door.ask('set', (store) => store.set(key, entry, entry.lifetime), stored)
  if (isPromise(written)) core.inBackground(written)
}
