import type { CacheStore } from '../store.js'
import type { VersionSource } from './local-tier.js'

/** The versions that the requests of one turn of the event loop ask for. */
interface Batch {
  readonly positions: Map<string, number>
  readonly current: Promise<ReadonlyArray<string | undefined>>
}

/** Asks the store each time: once for all requests of a turn, after the last of them came in. */
export class TurnVersions implements VersionSource {
  readonly #store: CacheStore
  #batch: Batch | undefined

  constructor (store: CacheStore) {
    this.#store = store
  }

  current (versions: readonly string[]): Promise<ReadonlyArray<string | undefined>> {
    const { positions, current } = this.#batch ??= this.#begin()
    const places: number[] = []
    for (const version of versions) {
      let position = positions.get(version)
      if (position === undefined) {
        position = positions.size
        positions.set(version, position)
      }
      places.push(position)
    }
    return current.then((all) => places.map((place) => all[place]))
  }

  moved (): void {}

  close (): void {}

  #begin (): Batch {
    const positions = new Map<string, number>()
    const current = new Promise<ReadonlyArray<string | undefined>>((resolve, reject) => {
      setImmediate(() => {
        this.#batch = undefined
        Promise.resolve(this.#store.current([...positions.keys()])).then(resolve, reject)
      })
    })
    return { positions, current }
  }
}
