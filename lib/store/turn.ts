/** What can hold back what is written to it, as sockets do. */
interface Corkable {
  cork(): void
  uncork(): void
}

/**
 * Lets all commands of one turn of the event loop leave in one write to each server, however many
 * there are: to write each by itself costs more than the rest of it.
 */
export class Turn {
  readonly #sockets: () => unknown[]
  readonly #last: Array<() => void> = []
  #corked: Corkable[] | undefined

  /** @param sockets the sockets in use now; whatever cannot be corked is left alone */
  constructor (sockets: () => unknown[]) {
    this.#sockets = sockets
  }

  /**
   * To be called before a command is sent.
   * @param last sends more when the turn is over, just before everything leaves
   */
  join (last?: () => void): void {
    if (last !== undefined) this.#last.push(last)
    if (this.#corked !== undefined) return
    this.#corked = this.#sockets().filter(isCorkable)
    for (const socket of this.#corked) socket.cork()
    setImmediate(this.#end)
  }

  readonly #end = (): void => {
    for (const last of this.#last.splice(0)) last()
    const corked = this.#corked!
    this.#corked = undefined
    for (const socket of corked) socket.uncork()
  }
}

function isCorkable (socket: unknown): socket is Corkable {
  const { cork, uncork } = (socket ?? {}) as Partial<Corkable>
  return typeof cork === 'function' && typeof uncork === 'function'
}
