/** A promise that somebody else settles. */
export class Deferred<T> {
  resolve!: (value: T) => void
  reject!: (error: unknown) => void
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}

/**
 * Collects the operations of one tick of the event loop in batches. A batch is sent at the end of the
 * tick, or when it is full and another operation is added.
 */
export class TickBatch<Batch extends { readonly full: boolean }> {
  readonly #begin: () => Batch
  readonly #send: (batch: Batch) => void
  #joining: Batch | undefined

  constructor (begin: () => Batch, send: (batch: Batch) => void) {
    this.#begin = begin
    this.#send = send
  }

  /** The batch to add an operation to. */
  batch (): Batch {
    if (this.#joining === undefined) {
      setImmediate(this.#end)
    } else {
      if (!this.#joining.full) return this.#joining
      this.#send(this.#joining)
    }
    this.#joining = this.#begin()
    return this.#joining
  }

  readonly #end = (): void => {
    const batch = this.#joining!
    this.#joining = undefined
    this.#send(batch)
  }
}
