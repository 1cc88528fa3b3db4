import type { SoftenedAt, SoftWrites } from '../contract.js'
import { isReply } from './errors.js'
import type { EntryReads } from './reads.js'
import { expectInteger, type Value } from './replies.js'
import { inParts } from './run-script.js'
import { SOFTEN } from './soft-script.js'
import type { Topology } from './topology.js'
import { VERSION_SECONDS, type Versions } from './versions.js'
import type { Watch } from './writes.js'

/** The key of a record is that of its version and this; behind it a hash tag, if the version's key has none. */
const SOFT = '~soft'
/** Longer records were not written by this plugin. */
const MAX_RECORD_BYTES = 4_096
/** A version that was replaced, the beginning of those that followed soon, and when, in milliseconds since 1970. */
const ITEM = /^([^,]+),([0-9a-f]+),(\d{1,15}),\d+$/
/** Whether a key in Redis is that of a record. */
export const isSoftRecord = (key: string): boolean => /~soft(?:\{|$)/.test(key)

/** What soft writes have replaced: a record beside each version, which Redis lets expire in time. */
export class RedisSoftWrites implements SoftWrites {
  readonly #topology: Topology
  readonly #versions: Versions
  readonly #reads: EntryReads
  readonly #watch: Watch
  /** The keys of the records for lists of names. Most requests of a route use the same list. */
  readonly #records = new WeakMap<readonly string[], readonly string[]>()

  constructor (topology: Topology, versions: Versions, reads: EntryReads, watch: Watch) {
    this.#topology = topology
    this.#versions = versions
    this.#reads = reads
    this.#watch = watch
  }

  /** Where a record cannot be written, its version is replaced as by a hard write. */
  async bump (names: readonly string[], fresh: string, soft: number, settle: number): Promise<void> {
    await inParts(this.#topology, names, async (keys, { mark }) => {
      if (!await this.#soften(keys, [fresh, mark, VERSION_SECONDS, settle, soft])) {
        await this.#versions.bump(keys, fresh, settle)
      }
    })
  }

  async softened (names: readonly string[]): Promise<SoftenedAt> {
    let keys = this.#records.get(names)
    if (keys === undefined) {
      keys = names.map((name) => this.#recordOf(name))
      this.#records.set(names, keys)
    }
    const values = await this.#reads.values(keys)
    return (name, earlier, current) => {
      const at = replacedAt(values[names.indexOf(name)], earlier, current)
      return at && at - this.#topology.ahead(name)
    }
  }

  /** False if the server refuses it: it is full, or the user may not run scripts. */
  async #soften (keys: readonly string[], args: ReadonlyArray<string | number>): Promise<boolean> {
    const all = [...keys, ...keys.map((key) => this.#recordOf(key))]
    // A prefix with a brace can keep the two keys apart on a Cluster.
    if (this.#topology.together(all).length > 1) return false
    try {
      const softened = this.#topology.client.eval(SOFTEN, all.length, ...all, ...args)
      expectInteger('EVAL', await this.#watch(keys[0]!, softened), keys.length)
      return true
    } catch (error) {
      if (!isReply(error)) throw error
      return false
    }
  }

  /** On a Cluster the record has the slot of its version. */
  #recordOf (name: string): string {
    const whole = this.#topology.keyPrefix + name
    return /^[^{]*\{[^}]+\}/.test(whole) ? name + SOFT : `${name}${SOFT}{${whole}}`
  }
}

/** See `SoftenedAt`, by the server's clock. A record that names another current version is from before a hard write. */
function replacedAt (
  value: Value | undefined, earlier: string, current: string | undefined
): number | undefined {
  if (value == null || value.length > MAX_RECORD_BYTES) return undefined
  const [named, ...items] = value.toString('latin1').split(' ')
  if (named !== current) return undefined
  for (const item of items) {
    const [, version, beginning, at] = ITEM.exec(item) ?? []
    if (version === earlier || (beginning !== undefined && earlier.startsWith(beginning))) return Number(at)
  }
  return undefined
}
