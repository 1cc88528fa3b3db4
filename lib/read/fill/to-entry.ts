import type { Entry } from '../../entry/entry.js'
import { etagOf } from '../../http/validators.js'
import type { CachedRoute } from '../exchange.js'
import type { Answer } from './answer.js'
import type { FillContext } from './context.js'

/** The entry to store for a response; undefined if the body does not have the declared Content-Length. */
export function entryOf (
  { name, runtime: { application } }: CachedRoute, { key, versions }: FillContext, answer: Answer, body: Buffer
): Entry | undefined {
  const { status, headers, own, type, kind, text, age, sentAt } = answer
  const declared = headers['content-length']
  if (declared !== undefined && Number(declared) !== body.length) return undefined
  // Only streams have no ETag yet, because their bytes were not known before.
  if (status === 200 && kind !== 'empty' && headers.etag === undefined) own.set.etag ??= etagOf(body)
  const filledUnder: Record<string, string> = {}
  for (let index = 0; index < versions.length; index++) filledUnder[key.versions[index]!] = versions[index]!
  const staleAt = sentAt + (answer.lifetime - age) * 1000
  return {
    route: name,
    application,
    versions: filledUnder,
    status,
    headers: type === undefined ? own.set : Object.assign(own.set, { 'content-type': type }),
    removedHeaders: own.removed,
    kind,
    body,
    text,
    storedAt: sentAt,
    staleAt,
    deleteAt: staleAt,
    initialAge: age,
    residentSince: answer.sentAtMonotonic
  }
}

/** The entry under the base key of variants: it only names the request headers that select one. */
export function pointerTo (entry: Entry, vary: readonly string[]): Entry {
  const empty = { kind: 'empty', body: Buffer.alloc(0), text: undefined } as const
  return { ...entry, ...empty, headers: {}, removedHeaders: undefined, vary }
}
