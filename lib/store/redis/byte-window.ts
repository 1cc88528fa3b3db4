/** Bytes of large values that may be on their way. What is sent next waits for these and one value more at the most. */
const WINDOW = 2 * 1024 * 1024

interface Waiting {
  readonly bytes: number
  readonly send: () => Promise<unknown>
}

/**
 * Lets large values through to one connection, and from it, in their order. What leaves and what is
 * answered keeps its order there: if all large values of a turn were sent at once, whatever is asked
 * next would wait until all of them have passed.
 */
export class ByteWindow {
  readonly #waiting: Waiting[] = []
  #onTheWay = 0

  /**
   * Calls `send` when it is its turn, at once if there is room.
   * @param bytes about how many it transfers
   * @param send settles when they have been transferred
   */
  pass<T> (bytes: number, send: () => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.#waiting.push({
        bytes,
        send: () => {
          const sent = send()
          resolve(sent)
          return sent
        }
      })
      this.#next()
    })
  }

  #next (): void {
    while (this.#onTheWay < WINDOW && this.#waiting.length > 0) {
      const { bytes, send } = this.#waiting.shift()!
      const passed = (): void => {
        this.#onTheWay -= bytes
        this.#next()
      }
      this.#onTheWay += bytes
      send().then(passed, passed)
    }
  }
}

/** One window for each server of a Cluster, so that one that hangs does not hold up the values of others. */
export class ByteWindows {
  readonly #serverOf: (key: string) => string | undefined
  readonly #windows = new Map<string | undefined, ByteWindow>()

  constructor (serverOf: (key: string) => string | undefined) {
    this.#serverOf = serverOf
  }

  /** The window of the server that has the key. */
  of (key: string): ByteWindow {
    const server = this.#serverOf(key)
    let window = this.#windows.get(server)
    if (window === undefined) this.#windows.set(server, window = new ByteWindow())
    return window
  }
}
