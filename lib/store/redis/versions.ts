import { LRUCache } from 'lru-cache'
import { ONE_YEAR_IN_SECONDS } from '../../policy/duration.js'
import { CLOSED, isSettling, type CurrentVersions, type MaybePromise } from '../contract.js'
import { isDenied, isFull } from './errors.js'
import { asFlag, asInteger, asMarkedText, asTexts, asValue, expectInteger, expectOk, type Value } from './replies.js'
import { trust, trusts, type ServerRun } from './server-run.js'
import { inParts, runAlsoIfFull } from './run-script.js'
import { BUMP, CLOSED_WINDOW, DROP, ENSURE, HELD, KEEP, MAX_VERSION_BYTES, REPLACE } from './scripts.js'
import type { Topology } from './topology.js'
import type { Watch } from './writes.js'

/** No entry lives longer than a year, so a version need not either. Unused versions expire. */
export const VERSION_SECONDS = ONE_YEAR_IN_SECONDS
/** Names can come from anyone's request: a version under which nothing is stored expires soon. */
export const UNUSED_SECONDS = 600
/** Most versions that are remembered to live long. Forgetting one costs a command. */
const MAX_KEPT = 10_000

/** Versions in Redis: each under its own key, followed by the mark of the run in which it was written. */
export class Versions {
  readonly #topology: Topology
  readonly #watch: Watch
  /** The version of each name that lives as long as entries may. */
  readonly #kept = new LRUCache<string, string>({ max: MAX_KEPT })

  constructor (topology: Topology, watch: Watch) {
    this.#topology = topology
    this.#watch = watch
  }

  /** The trusted versions among the values of their keys; undefined for the others. */
  interpret (names: readonly string[], values: readonly Value[]): MaybePromise<CurrentVersions> {
    const runs = this.#topology.runsOf(names)
    return runs instanceof Promise ? runs.then((known) => current(names, values, known)) : current(names, values, runs)
  }

  /** @param known the versions that exist, from a read before */
  async ensure (names: readonly string[], known: CurrentVersions, fresh: string): Promise<string[]> {
    const missing = names.filter((_, index) => known[index] === undefined)
    if (missing.length === 0) return known as string[]
    const values = await this.#ensureEach(missing, fresh)
    const runs = await this.#topology.runsOf(names)
    return await Promise.all(names.map(async (name, index) => {
      const value = values.get(name)
      if (isHeld(value)) return CLOSED
      // A version that is damaged, from another run, or lost again at once may be one under which
      // entries have been filled and invalidated, so it must be replaced by one that was never used.
      return known[index] ?? reliable(name, value, runs[index]!) ??
        await this.#replace(name, fresh, runs[index]!) ?? CLOSED
    }))
  }

  /** @param settle milliseconds of a window, 0 for none */
  async bump (names: readonly string[], fresh: string, settle: number): Promise<void> {
    await inParts(this.#topology, names, async (keys, { mark }) => {
      const bumped = runAlsoIfFull(this.#topology.client, BUMP, keys, [fresh, mark, VERSION_SECONDS, settle])
      try {
        expectInteger('EVAL', await this.#watch(keys[0]!, bumped), keys.length)
      } catch (error) {
        if (!isDenied(error) && !isFull(error)) throw error
        await Promise.all(keys.map((key) => this.#drop(key, settle)))
      }
    })
  }

  /**
   * Lets versions live as long as an entry that is stored under them; undefined if they do already. A
   * version that was replaced meanwhile is left alone, and that of a window ends with it.
   */
  keep (versions: Readonly<Record<string, string>>): Promise<unknown> | undefined {
    const names: string[] = []
    for (const name in versions) {
      const version = versions[name]!
      if (this.#kept.get(name) !== version && !isSettling(version)) names.push(name)
    }
    return names.length === 0 ? undefined : inParts(this.#topology, names, (keys) => this.#keepEach(keys, versions))
  }

  async #keepEach (keys: readonly string[], versions: Readonly<Record<string, string>>): Promise<void> {
    const current = keys.map((key) => versions[key]!)
    const kept = this.#topology.client.eval(KEEP, keys.length, ...keys, VERSION_SECONDS, ...current)
    try {
      // One that is held may come back, so the next entry asks again.
      if (asInteger('EVAL', await this.#watch(keys[0]!, kept)) < keys.length) return
    } catch (error) {
      // Without permission to run scripts a version is made to live long.
      if (!isDenied(error)) throw error
    }
    keys.forEach((key, index) => { this.#kept.set(key, current[index]!) })
  }

  /** Creates the versions that do not exist; returns the values of their keys. */
  async #ensureEach (names: readonly string[], fresh: string): Promise<Map<string, Value>> {
    const { client } = this.#topology
    const values = new Map<string, Value>()
    await inParts(this.#topology, names, async (keys, { mark }) => {
      try {
        const there = client.eval(ENSURE, keys.length, ...keys, fresh, mark, UNUSED_SECONDS)
        const texts = asTexts('EVAL', await this.#watch(keys[0]!, there), keys.length)
        keys.forEach((key, index) => { values.set(key, Buffer.from(texts[index]!)) })
      } catch (error) {
        if (!isDenied(error)) throw error
        await Promise.all(keys.map(async (key) => {
          values.set(key, await this.#ensureWithoutScript(key, fresh + mark))
        }))
      }
    })
    return values
  }

  /** For a Redis user without permission to run scripts. */
  async #ensureWithoutScript (name: string, version: string): Promise<Value> {
    const { client } = this.#topology
    const made = await this.#watch(name, client.set(name, version, 'EX', VERSION_SECONDS, 'NX'))
    if (made !== null) expectOk('SET', made)
    return asValue('GET', await client.getBuffer(name))
  }

  /** Sets a new version; undefined if there is none: a strict write holds it, or it could only be deleted. */
  async #replace (name: string, fresh: string, run: ServerRun): Promise<string | undefined> {
    let version: string | undefined
    try {
      const replaced = this.#topology.client.eval(REPLACE, 1, name, fresh, run.mark, UNUSED_SECONDS)
      version = asMarkedText('EVAL', await this.#watch(name, replaced), run.mark)
    } catch (error) {
      if (!isDenied(error) && !isFull(error)) throw error
      await this.#drop(name, 0)
    }
    trust(run, name)
    return version
  }

  /**
   * For a Redis that is full, or a user without permission to run scripts. Deleting a version
   * invalidates as a new one does, and may safely happen twice. But it would end a hold. For a
   * window the version is closed: a new one that is written twice might come back.
   */
  async #drop (name: string, settle: number): Promise<void> {
    let isFree: boolean
    try {
      isFree = asFlag('EVAL', await this.#watch(name, this.#topology.client.eval(DROP, 1, name, settle)))
    } catch (error) {
      if (!isDenied(error)) throw error
      isFree = await this.#dropWithoutScript(name, settle)
    }
    if (!isFree) throw new Error('a strict write holds the version, which could not be replaced')
  }

  /** False if the version is held. */
  async #dropWithoutScript (name: string, settle: number): Promise<boolean> {
    const { client } = this.#topology
    const value = asValue('GET', await client.getBuffer(name))
    const isClosed = value?.toString('latin1') === CLOSED_WINDOW
    if (!isClosed && isHeld(value)) return false
    if (!isClosed) asInteger('DEL', await this.#watch(name, client.del(name)))
    const left = isClosed ? asInteger('PTTL', await client.pttl(name)) : 0
    if (settle > left) expectOk('SET', await this.#watch(name, client.set(name, CLOSED_WINDOW, 'PX', settle)))
    return true
  }
}

/** The trusted versions, without their marks. */
function current (
  names: readonly string[], values: readonly Value[], runs: readonly ServerRun[]
): Array<string | undefined> {
  const versions: Array<string | undefined> = []
  for (let index = 0; index < values.length; index++) {
    versions.push(reliable(names[index]!, values[index], runs[index]!))
  }
  return versions
}

function reliable (name: string, value: Value | undefined, run: ServerRun): string | undefined {
  if (value == null || value.length > MAX_VERSION_BYTES) return undefined
  const text = value.toString('latin1')
  const markAt = text.lastIndexOf('.')
  if (markAt <= 0 || text.startsWith(HELD) || !trusts(run, name, text.slice(markAt))) return undefined
  // Decoded again, because comparing slices of strings is slow.
  return value.toString('latin1', 0, markAt)
}

const isHeld = (value: Value | undefined): boolean => value != null && /^~[^~]*~/.test(value.toString('latin1'))
