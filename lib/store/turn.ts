/** The end of the present turn of the event loop: one promise for all who wait for it. */
export class TurnEnd {
  #over: Promise<void> | undefined

  get over (): Promise<void> {
    this.#over ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#over = undefined
        resolve()
      })
    })
    return this.#over
  }
}

/**
 * Collects what the requests of one turn of the event loop ask for: a batch is sent when the turn
 * is over, or as soon as it is full and more is asked for.
 */
export class Turn<Batch extends { readonly full: boolean }> {
  readonly #begin: () => Batch
  readonly #send: (batch: Batch) => void
  #joining: Batch | undefined

  constructor (begin: () => Batch, send: (batch: Batch) => void) {
    this.#begin = begin
    this.#send = send
  }

  /** The batch to join now. */
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
