import { setImmediate } from 'node:timers/promises'

/** Work that no response waits for. It is only counted, because every MISS adds some. */
export class Background {
  #running = 0
  #idle: Array<() => void> = []

  run<T> (work: Promise<T>): Promise<T> {
    this.#running++
    work.then(this.#oneDone, this.#oneDone)
    return work
  }

  /** Resolves when nothing is running. */
  async settled (): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => { this.#idle.push(resolve) })
    // A fill is released one turn of the event loop after its entry is stored.
    await setImmediate()
  }

  readonly #oneDone = (): void => {
    if (--this.#running > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
