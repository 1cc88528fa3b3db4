/** What can hold back what is written to it, as sockets do. */
interface Corkable {
  cork(): void
  uncork(): void
}

/**
 * Lets all commands of one turn of the event loop leave in one write: of what a HIT from Redis
 * costs, the write of its own command was a quarter.
 */
export class Turn {
  readonly #sockets: () => unknown[]
  #corked: Corkable[] | undefined
  #holdsAll = false

  readonly #over: () => void

  /**
   * @param sockets the sockets in use now; whatever cannot be corked is left alone
   * @param over called when the turn is over
   */
  constructor (sockets: () => unknown[], over: () => void) {
    this.#sockets = sockets
    this.#over = over
  }

  /**
   * To be called before a command is sent.
   * @returns whether the command leaves when the turn is over, and not before
   */
  join (): boolean {
    if (this.#corked === undefined) {
      const sockets = this.#sockets()
      this.#corked = sockets.filter(isCorkable)
      this.#holdsAll = this.#corked.length === sockets.length
      for (const socket of this.#corked) socket.cork()
      setImmediate(this.#end)
    }
    return this.#holdsAll
  }

  readonly #end = (): void => {
    const corked = this.#corked!
    this.#corked = undefined
    this.#over()
    for (const socket of corked) socket.uncork()
  }
}

function isCorkable (socket: unknown): socket is Corkable {
  const { cork, uncork } = (socket ?? {}) as Partial<Corkable>
  return typeof cork === 'function' && typeof uncork === 'function'
}
