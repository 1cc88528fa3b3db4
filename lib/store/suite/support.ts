import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Entry } from '../../entry/entry.js'
import type { CacheStore } from '../contract.js'

/** Proves one rule on a store, with names that begin with the prefix. Rejects with an AssertionError. */
export type Case = (store: CacheStore, prefix: string) => Promise<void>

/** Milliseconds that a store may be late with anything, such as an expiry. */
const GRACE = 3_000
/** Milliseconds by which a store's clock may round. */
export const ROUNDING = 50
/** More entries than a store is likely to list or delete at once. */
export const MANY = 2_500

/** An optional part of a store: whole, or not there at all. */
export function partOf<Part extends object> (
  what: string, part: Part | undefined, methods: ReadonlyArray<keyof Part>
): Part | undefined {
  for (const method of methods) {
    if (part !== undefined) assert.equal(typeof part[method], 'function', `${what} lack ${String(method)}`)
  }
  return part
}

/** Creates and bumps a version; what it is then. A store may make a string of its own of the one that it is given. */
export async function bumped (store: CacheStore, version: string): Promise<string> {
  const [before] = await store.ensure([version], `token-${randomUUID()}`)
  await store.bump([version], `token-${randomUUID()}`)
  const [after] = await store.versions([version])
  assertNew(after, before)
  return after!
}

/** Since when these versions of a name are replaced. */
export async function softened (
  store: CacheStore, name: string, earlier: readonly string[]
): Promise<Array<number | undefined>> {
  const [current] = await store.versions([name])
  const at = await store.soft!.softened([name])
  return earlier.map((version) => at(name, version, current))
}

export function assertNew (version: string | undefined, before: string | undefined): void {
  assert.equal(typeof version, 'string')
  assert.notEqual(version, before)
}

/** The times of an entry that is stored now, with a freshness lifetime of some seconds. */
export function lasting (seconds: number): Pick<Entry, 'storedAt' | 'staleAt' | 'deleteAt'> {
  const storedAt = Date.now()
  const staleAt = storedAt + seconds * 1000
  return { storedAt, staleAt, deleteAt: staleAt }
}

/** The optional fields of an entry. */
const ABSENT = {
  defaultHeaders: undefined,
  removedHeaders: undefined,
  extendedHeaders: undefined,
  staleWindows: undefined,
  fillTime: undefined,
  responseHeaders: undefined,
  vary: undefined,
  encoded: undefined,
  plainLength: undefined
}

export function entryOf (fields: Partial<Entry>): Entry {
  return {
    route: 'GET /',
    application: undefined,
    versions: {},
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    kind: 'text',
    body: Buffer.from('{}'),
    ...lasting(60),
    initialAge: 0,
    ...ABSENT,
    ...fields
  }
}

export function assertEntry (found: Entry | undefined, expected: Entry): void {
  assert.ok(found !== undefined, 'no entry was found')
  const { body, text, ...rest } = found
  const { body: expectedBody, ...expectedRest } = expected
  const versions = { ...rest.versions }
  assert.deepEqual({ ...ABSENT, ...rest, versions }, expectedRest)
  assert.ok(body.equals(expectedBody), 'the body differs')
  if (text !== undefined) assert.equal(text, expectedBody.toString())
}

export async function list (keys: AsyncIterable<string>): Promise<string[]> {
  const found = new Set<string>()
  for await (const key of keys) found.add(key)
  return [...found].sort()
}

export async function until (what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + GRACE
  while (!await holds()) {
    assert.ok(Date.now() < end, `too late: ${what}`)
    await delay(20)
  }
}
