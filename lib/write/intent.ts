import type { Intents } from '../store/contract.js'
import { UNAVAILABLE } from '../store/guarded-store.js'
import { inBatches } from './in-batches.js'
import { newVersion } from './version.js'
import type { WriteRuntime } from './write-runtime.js'

/** Milliseconds after which a writer that has neither renewed its intent nor ended it counts as crashed. */
const TERM = 30_000
/** Milliseconds between two renewals: two of them may fail. */
const RENEWAL = 10_000

/** What a write will invalidate. */
export interface HeldNames {
  readonly namespaces: readonly string[]
  readonly tags: readonly string[]
}

/**
 * A write that is recorded in the store before it begins, until it has ended. Until then the versions
 * that it will bump are held: no process serves or fills entries under them. If the intent is never
 * ended, the hold expires and the version is lost, so that its entries are invalid.
 */
export class Intent {
  readonly #runtime: WriteRuntime
  readonly #intents: Intents
  readonly #namespaces: readonly string[]
  readonly #tags: readonly string[]
  readonly #settle: number
  readonly #writer = newVersion()
  readonly #renew = (): Promise<boolean> => this.#hold()
  #renewal: NodeJS.Timeout | undefined
  #ended = false

  /** @param settle milliseconds of the window that begins with the end, 0 for none */
  constructor (runtime: WriteRuntime, intents: Intents, { namespaces, tags }: HeldNames, settle: number) {
    this.#runtime = runtime
    this.#intents = intents
    this.#namespaces = namespaces
    this.#tags = tags
    this.#settle = settle
  }

  /** Records the intent and renews it until its end; false if the store did not confirm it. Never rejects. */
  async begin (): Promise<boolean> {
    if (await this.#hold()) {
      this.#renewal = setInterval(() => { void this.#renew() }, RENEWAL).unref()
      this.#runtime.renewals.add(this.#renew)
      return true
    }
    // The store may have recorded a part of it.
    void this.#runtime.background.run(this.#release(false))
    return false
  }

  /**
   * Ends the intent. The response waits for that, so that a client that has it reads what was written.
   * @returns false if a bump is pending
   */
  async end (hasWritten: boolean): Promise<boolean> {
    if (this.#ended) return true
    this.#ended = true
    clearInterval(this.#renewal)
    const { background, invalidation, renewals } = this.#runtime
    renewals.delete(this.#renew)
    const released = this.#release(hasWritten)
    if (!hasWritten) {
      void background.run(released)
      return true
    }
    const delivered = await released
    if (this.#namespaces.length + this.#tags.length > 0) {
      void invalidation.sweep(this.#namespaces, this.#tags, delivered)
    }
    return delivered
  }

  /** Begins or renews the intent; false if the store did not confirm it. Never rejects. */
  async #hold (): Promise<boolean> {
    const { store, invalidation } = this.#runtime
    for await (const [namespaces, tags] of inBatches(this.#namespaces, this.#tags)) {
      if (this.#ended) return true
      const names = invalidation.namesOf(namespaces, tags)
      const held = await store.call('begin intent', () => this.#intents.begin(names, this.#writer, TERM))
      if (held === UNAVAILABLE) return false
    }
    return true
  }

  /** @returns false if a bump is pending */
  async #release (written: boolean): Promise<boolean> {
    const { store, invalidation, bumps } = this.#runtime
    let delivered = true
    for await (const [namespaces, tags] of inBatches(this.#namespaces, this.#tags)) {
      const names = invalidation.namesOf(namespaces, tags)
      // The window is recorded in the hold, and begins when that ends.
      if (written && this.#settle > 0) delivered = await bumps.bump(names, this.#settle) && delivered
      const fresh = newVersion()
      const ended = await store.call('end intent', () => this.#intents.end(names, this.#writer, fresh, written))
      if (!written) continue
      if (ended === UNAVAILABLE) delivered = await bumps.bump(names, this.#settle) && delivered
      else bumps.remember(names, this.#settle)
    }
    return delivered
  }
}
