import type { Entry } from '../../entry/entry.js'
import { ONE_YEAR_IN_SECONDS } from '../../policy/duration.js'
import { etagOf } from '../../http/validators.js'
import type { CachedRoute } from '../exchange.js'
import type { Sent } from './answer.js'
import type { FillContext } from './context.js'
import type { Freshness } from './storability.js'

/** A response that all hooks have seen. */
export interface Finished {
  readonly sent: Sent
  /** What the handler sent, before serialization. */
  readonly payload: unknown
  readonly freshness: Freshness
  /** When the handler sent it, in milliseconds since 1970 and of `performance.now()`. */
  readonly sentAt: number
  readonly sentAtMonotonic: number
  /** The request headers that select a variant of this response. */
  readonly vary: readonly string[]
  /** What the cache adds to the response if nobody else does. */
  readonly defaultHeaders: Record<string, string | string[]>
}

/** The entry to store for a response; undefined if the body does not have the declared Content-Length. */
export function entryOf (
  { name, policy, runtime: { application } }: CachedRoute, { key, versions, beganAt }: FillContext,
  finished: Finished, body: Buffer
): Entry | undefined {
  const { sent: { status, headers, own, type, kind, text }, freshness: { age, lifetime, windows }, sentAt } = finished
  const declared = headers['content-length']
  if (declared !== undefined && Number(declared) !== body.length) return undefined
  const filledUnder: Record<string, string> = {}
  for (let index = 0; index < versions.length; index++) filledUnder[key.versions[index]!] = versions[index]!
  const staleAt = sentAt + Math.round((lifetime - age) * 1000 * (1 - policy.jitter * Math.random()))
  const longest = Math.max(windows.whileRevalidate, windows.ifError)
  const { defaultHeaders } = finished
  if (type.own !== undefined) own.set['content-type'] = type.own
  else if (type.byDefault !== undefined) defaultHeaders['content-type'] = type.byDefault
  // The bytes of a stream were not known before.
  const isStream = finished.sent.body === undefined
  if (isStream && status === 200 && headers['etag'] === undefined) defaultHeaders.etag = etagOf(body)
  return {
    route: name,
    application,
    versions: filledUnder,
    status,
    headers: own.set,
    defaultHeaders,
    removedHeaders: own.removed,
    extendedHeaders: own.extended,
    responseHeaders: finished.sent.inResponse,
    kind,
    body,
    text,
    storedAt: sentAt,
    staleAt,
    deleteAt: Math.min(staleAt + longest * 1000, sentAt + ONE_YEAR_IN_SECONDS * 1000),
    staleWindows: longest === 0 ? undefined : windows,
    fillTime: policy.earlyRefresh === 0 ? undefined : Math.round(finished.sentAtMonotonic - beganAt),
    initialAge: age
  }
}

/** The entry under the base key of variants: it only names the request headers that select one. */
export function pointerTo (entry: Entry, vary: readonly string[]): Entry {
  const empty = { kind: 'empty', body: Buffer.alloc(0), text: undefined } as const
  const { route, application, versions, status, storedAt, staleAt, deleteAt, staleWindows } = entry
  const times = { storedAt, staleAt, deleteAt, staleWindows, initialAge: entry.initialAge }
  return { route, application, versions, status, ...times, ...empty, headers: {}, vary }
}
