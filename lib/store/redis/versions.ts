import { ONE_YEAR_IN_SECONDS } from '../../policy/duration.js'
import { CLOSED, type CurrentVersions, type MaybePromise } from '../contract.js'
import { isReply } from './errors.js'
import { asInteger, asListedText, asMarkedText, asValue, expectOk, type Value } from './replies.js'
import { trust, trusts, type ServerRun } from './run-id.js'
import { BUMP, ENSURE, HELD, MAX_VERSION_BYTES } from './scripts.js'
import type { Topology } from './topology.js'
import type { Watch } from './writes.js'

/** No entry lives longer than a year, so a version need not either. Unused versions expire. */
export const VERSION_SECONDS = ONE_YEAR_IN_SECONDS

/** Versions in Redis: each under its own key, followed by the mark of the run in which it was written. */
export class Versions {
  readonly #topology: Topology
  readonly #watch: Watch

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
    return await Promise.all(names.map((name, index) => known[index] ?? this.#ensureOne(name, fresh)))
  }

  async bump (names: readonly string[], fresh: string): Promise<void> {
    const runs = await this.#topology.runsOf(names)
    await Promise.all(names.map((name, index) => this.#bumpOne(name, fresh, runs[index]!)))
  }

  async #ensureOne (name: string, fresh: string): Promise<string> {
    const value = await this.#create(name, fresh, await this.#runOf(name))
    if (isHeld(value)) return CLOSED
    // Another run may have begun since.
    const run = await this.#runOf(name)
    const version = reliable(name, value, run)
    if (version !== undefined) return version
    // The version is damaged, from another run, or was lost again at once. Entries may have been
    // filled under it and invalidated since, so it must be replaced by one that was never used.
    const bumped = await this.#bumpOne(name, fresh, run)
    trust(run, name)
    return bumped ?? CLOSED
  }

  async #runOf (name: string): Promise<ServerRun> {
    const [run] = await this.#topology.runsOf([name])
    return run!
  }

  /** Creates the version if it does not exist; returns the value of its key. */
  async #create (name: string, fresh: string, { mark }: ServerRun): Promise<Value> {
    const { client } = this.#topology
    try {
      const value = client.eval(ENSURE, 1, name, fresh, mark, VERSION_SECONDS)
      return Buffer.from(asListedText('EVAL', await this.#watch(name, value)))
    } catch (error) {
      if (!isReply(error)) throw error
    }
    // For a Redis user without permission to run scripts.
    const created = await this.#watch(name, client.set(name, fresh + mark, 'EX', VERSION_SECONDS, 'NX'))
    if (created !== null) expectOk('SET', created)
    return asValue('GET', await client.getBuffer(name))
  }

  /** Replaces a version; undefined if there is no new one: a strict write holds it, or it could only be deleted. */
  async #bumpOne (name: string, fresh: string, { mark }: ServerRun): Promise<string | undefined> {
    const { client } = this.#topology
    try {
      const bumped = client.eval(BUMP, 1, name, fresh, mark, VERSION_SECONDS)
      return asMarkedText('EVAL', await this.#watch(name, bumped), mark)
    } catch (error) {
      if (!isReply(error)) throw error
    }
    // For a Redis user without permission to run scripts, or a Redis that is full. Deleting a version
    // invalidates as a new one does, and may safely happen twice.
    asInteger('DEL', await this.#watch(name, client.del(name)))
    return undefined
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
