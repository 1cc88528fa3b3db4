/** Milliseconds that a confirmed bump is remembered: as long as a failover takes. */
const MEMORY = 60_000
/** Most bumps that are remembered one by one. */
const MAX_RECENT = 10_000

interface Recent {
  readonly at: number
  /** The window of the bump, in milliseconds; 0 for none. */
  readonly settle: number
}

/**
 * The bumps that a store has confirmed lately. A Redis that was cut off from its replicas confirms
 * what the next master never hears of.
 */
export class RecentBumps {
  /** By the version's key, the latest last. */
  readonly #bumps = new Map<string, Recent>()
  /** The last bump of everything, or of more than are remembered. */
  #everything: Recent = { at: -Infinity, settle: 0 }

  remember (names: readonly string[], settle: number): void {
    const at = performance.now()
    for (const name of names) {
      this.#bumps.delete(name)
      this.#bumps.set(name, { at, settle })
    }
    for (const [name, bump] of this.#bumps) {
      if (isRecent(bump)) break
      this.#bumps.delete(name)
    }
    if (this.#bumps.size <= MAX_RECENT) return
    this.rememberEverything(Math.max(...[...this.#bumps.values()].map(({ settle }) => settle)))
  }

  rememberEverything (settle: number): void {
    this.#bumps.clear()
    this.#everything = { at: performance.now(), settle }
  }

  /** The bump of everything; undefined if there was none lately. */
  get everything (): { readonly settle: number } | undefined {
    return isRecent(this.#everything) ? this.#everything : undefined
  }

  /** The other recent bumps. */
  * names (): Generator<[name: string, settle: number]> {
    for (const [name, bump] of this.#bumps) if (isRecent(bump)) yield [name, bump.settle]
  }
}

const isRecent = ({ at }: Recent): boolean => performance.now() - at < MEMORY
