import { CLOSED, type CacheStore, type Entry, type Lookup } from '../../index.js'

/** A store as a user of the plugin may write one: everything later, and nothing that is optional. */
export class MapStore implements CacheStore {
  readonly name: string = 'map'
  readonly entries = new Map<string, { entry: Entry, until: number }>()
  readonly versions = new Map<string, string>()

  async lookup (key: string, versions: readonly string[]): Promise<Lookup> {
    return { entry: this.#alive(key), versions: await this.current(versions) }
  }

  async current (versions: readonly string[]): Promise<Array<string | undefined>> {
    return versions.map((version) => this.versions.get(version))
  }

  async claim (versions: readonly string[], fresh: string): Promise<string[]> {
    return versions.map((version) => {
      if (!this.versions.has(version)) this.versions.set(version, fresh)
      return this.versions.get(version)!
    })
  }

  async move (versions: readonly string[], fresh: string): Promise<void> {
    for (const version of versions) this.versions.set(version, fresh)
  }

  async set (key: string, entry: Entry, seconds: number): Promise<void> {
    this.entries.set(key, { entry, until: Date.now() + seconds * 1000 })
  }

  async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
    for (const key of [...this.entries.keys(), ...this.versions.keys()]) {
      if (key.startsWith(prefix) && (this.versions.has(key) || this.#alive(key) !== undefined)) yield key
    }
  }

  async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
    let swept = 0
    for (const [key, { entry }] of this.entries) {
      if (key.startsWith(prefix) && !isCurrent(entry.versions) && this.entries.delete(key)) swept++
    }
    return swept
  }

  #alive (key: string): Entry | undefined {
    const kept = this.entries.get(key)
    return kept !== undefined && kept.until > Date.now() ? kept.entry : undefined
  }
}

/** The same with all that is optional. */
export class FullStore extends MapStore {
  readonly leases = new Map<string, { holder: string, until: number }>()
  readonly listeners: Array<(key: string, news: string) => void> = []
  readonly holds = new Map<string, { before: string | undefined, writers: Map<string, number> }>()

  override async current (versions: readonly string[]): Promise<Array<string | undefined>> {
    return (await super.current(versions)).map((token, index) => this.held(versions[index]!) ? undefined : token)
  }

  override async claim (versions: readonly string[], fresh: string): Promise<string[]> {
    const free = versions.filter((version) => !this.held(version))
    const claimed = await super.claim(free, fresh)
    return versions.map((version) => free.includes(version) ? claimed[free.indexOf(version)]! : CLOSED)
  }

  override async move (versions: readonly string[], fresh: string): Promise<void> {
    for (const version of versions) {
      if (this.held(version)) this.holds.get(version)!.before = undefined
      else await super.move([version], fresh)
    }
  }

  override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
    const held = [...this.holds.keys()].filter((version) => version.startsWith(prefix) && this.held(version))
    yield * super.keys(prefix)
    yield * held
  }

  async hold (versions: readonly string[], writer: string, milliseconds: number): Promise<void> {
    for (const version of versions) {
      if (!this.held(version)) this.holds.set(version, { before: this.versions.get(version), writers: new Map() })
      this.versions.delete(version)
      this.holds.get(version)!.writers.set(writer, Date.now() + milliseconds)
    }
  }

  async letGo (versions: readonly string[], writer: string, fresh: string, moved: boolean): Promise<void> {
    for (const version of versions) {
      const hold = this.held(version) ? this.holds.get(version)! : undefined
      if (hold !== undefined) {
        if (moved) hold.before = undefined
        hold.writers.delete(writer)
        if (hold.writers.size > 0) continue
        this.holds.delete(version)
      }
      if (hold !== undefined || moved) this.versions.set(version, hold?.before ?? fresh)
    }
  }

  /** Forgets the writers whose time is over. */
  held (version: string): boolean {
    const hold = this.holds.get(version)
    if (hold === undefined) return false
    for (const [writer, until] of hold.writers) {
      if (until > Date.now()) continue
      hold.before = undefined
      hold.writers.delete(writer)
    }
    if (hold.writers.size === 0) this.holds.delete(version)
    return hold.writers.size > 0
  }

  async lease (key: string, holder: string, milliseconds: number): Promise<boolean> {
    const lease = this.leases.get(key)
    if (lease !== undefined && lease.holder !== holder && lease.until > Date.now()) return false
    this.leases.set(key, { holder, until: Date.now() + milliseconds })
    return true
  }

  async release (key: string, holder: string, news: string): Promise<void> {
    if (this.leases.get(key)?.holder !== holder) return
    this.leases.delete(key)
    for (const told of this.listeners) told(key, news)
  }

  listen (told: (key: string, news: string) => void): void {
    this.listeners.push(told)
  }
}
