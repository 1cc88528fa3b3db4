import type { CacheStore } from '../store.js'
import type { VersionSource } from './local-tier.js'

type Current = ReadonlyArray<string | undefined>

/** The versions that the requests of one turn of the event loop ask for. */
interface Batch {
  readonly positions: Map<string, number>
  readonly all: Promise<Current>
  /** What is told for one list of versions: the requests of a route mostly have the very same. */
  readonly told: Map<readonly string[], Promise<Current>>
}

/** Asks the store each time: once for all requests of a turn, after the last of them came in. */
export class TurnVersions implements VersionSource {
  readonly #store: CacheStore
  #batch: Batch | undefined

  constructor (store: CacheStore) {
    this.#store = store
  }

  current (versions: readonly string[]): Promise<Current> {
    const { positions, all, told } = this.#batch ??= this.#begin()
    const known = told.get(versions)
    if (known !== undefined) return known
    const places: number[] = []
    for (const version of versions) {
      let position = positions.get(version)
      if (position === undefined) {
        position = positions.size
        positions.set(version, position)
      }
      places.push(position)
    }
    const current = all.then((found) => places.map((place) => found[place]))
    told.set(versions, current)
    return current
  }

  moved (): void {}

  close (): void {}

  #begin (): Batch {
    const positions = new Map<string, number>()
    const all = new Promise<Current>((resolve, reject) => {
      setImmediate(() => {
        this.#batch = undefined
        Promise.resolve(this.#store.current([...positions.keys()])).then(resolve, reject)
      })
    })
    return { positions, all, told: new Map() }
  }
}
