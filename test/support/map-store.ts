import {
  CLOSED, type CacheStore, type Entry, type Intents, type Leases, type Lookup, type SoftenedAt, type SoftWrites
} from '../../index.js'
import { settlingVersion, type IsCurrent } from '../../lib/store/contract.js'

/** A store as a user of the plugin may write one: everything later, and nothing that is optional. */
export class MapStore implements CacheStore {
  readonly name: string = 'map'
  readonly entries = new Map<string, { entry: Entry, until: number }>()
  readonly tokens = new Map<string, string>()
  /** When the windows of versions end. */
  readonly windows = new Map<string, number>()

  async lookup (key: string, names: readonly string[]): Promise<Lookup> {
    return { entry: this.#alive(key), versions: await this.versions(names) }
  }

  async versions (names: readonly string[]): Promise<Array<string | undefined>> {
    for (const name of names) this.windowLeft(name)
    return names.map((name) => this.tokens.get(name))
  }

  async ensure (names: readonly string[], fresh: string): Promise<string[]> {
    return names.map((name) => {
      this.windowLeft(name)
      if (!this.tokens.has(name)) this.tokens.set(name, fresh)
      return this.tokens.get(name)!
    })
  }

  async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
    for (const name of names) {
      const window = Math.max(settle, this.windowLeft(name))
      if (window > 0) this.windows.set(name, performance.now() + window)
      this.tokens.set(name, window > 0 ? settlingVersion(fresh) : fresh)
    }
  }

  /** Milliseconds; at its end the version is lost. */
  windowLeft (name: string): number {
    const left = (this.windows.get(name) ?? Infinity) - performance.now()
    if (left === Infinity) return 0
    if (left <= 0 && this.windows.delete(name)) this.tokens.delete(name)
    return Math.max(0, left)
  }

  async set (key: string, entry: Entry, until = entry.deleteAt): Promise<void> {
    this.entries.set(key, { entry, until })
  }

  async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
    for (const key of [...this.entries.keys(), ...this.tokens.keys()]) {
      if (key.startsWith(prefix) && (this.tokens.has(key) || this.#alive(key) !== undefined)) yield key
    }
  }

  async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
    let swept = 0
    for (const [key, { entry }] of this.entries) {
      if (key.startsWith(prefix) && !await isCurrent(entry.versions) && this.entries.delete(key)) swept++
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
  readonly leased = new Map<string, { holder: string, until: number }>()
  readonly listeners: Array<(key: string, news: string) => void> = []
  readonly holds = new Map<string, { before: string | undefined, writers: Map<string, number>, settle: number }>()

  /** What soft writes have replaced, up to the current version. */
  readonly softly = new Map<string, { current: string, replaced: Array<{ version: string, at: number, until: number }> }>()

  readonly soft: SoftWrites = {
    bump: (names, fresh, soft, settle) => this.soften(names, fresh, soft, settle),
    softened: async () => (...asked) => this.softened(...asked)
  }

  readonly intents: Intents = {
    begin: (names, writer, milliseconds) => this.begin(names, writer, milliseconds),
    end: (names, writer, fresh, written) => this.end(names, writer, fresh, written)
  }

  readonly leases: Leases = {
    take: (key, holder, milliseconds) => this.take(key, holder, milliseconds),
    release: (key, holder, news) => this.release(key, holder, news),
    subscribe: (listener) => { this.subscribe(listener) }
  }

  override async versions (names: readonly string[]): Promise<Array<string | undefined>> {
    return (await super.versions(names)).map((token, index) => this.held(names[index]!) ? undefined : token)
  }

  override async ensure (names: readonly string[], fresh: string): Promise<string[]> {
    const free = names.filter((name) => !this.held(name))
    const ensured = await super.ensure(free, fresh)
    return names.map((name) => free.includes(name) ? ensured[free.indexOf(name)]! : CLOSED)
  }

  override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
    for (const name of names) {
      if (!this.held(name)) {
        await super.bump([name], fresh, settle)
        continue
      }
      const hold = this.holds.get(name)!
      hold.before = undefined
      hold.settle = Math.max(hold.settle, settle)
    }
  }

  override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
    const held = [...this.holds.keys()].filter((name) => name.startsWith(prefix) && this.held(name))
    yield * super.keys(prefix)
    yield * held
  }

  async soften (names: readonly string[], fresh: string, soft: number, settle: number): Promise<void> {
    const before = await this.versions(names)
    await this.bump(names, fresh, settle)
    const after = await this.versions(names)
    const at = Date.now()
    names.forEach((name, index) => {
      const [version, current] = [before[index], after[index]]
      if (version === undefined || current === undefined) return
      const known = this.softly.get(name)
      const earlier = known?.current === version ? known.replaced : []
      const replaced = [...earlier, { version, at, until: Infinity }]
      this.softly.set(name, { current, replaced: replaced.map((one) => ({ ...one, until: Math.min(one.until, at + soft) })) })
    })
  }

  softened (...[name, earlier, current]: Parameters<SoftenedAt>): ReturnType<SoftenedAt> {
    const record = this.softly.get(name)
    if (record === undefined || record.current !== current) return undefined
    const replaced = record.replaced.find(({ version }) => version === earlier)
    return replaced !== undefined && replaced.until > Date.now() ? replaced.at : undefined
  }

  async begin (names: readonly string[], writer: string, milliseconds: number): Promise<void> {
    for (const name of names) {
      if (!this.held(name)) {
        const settle = this.windowLeft(name)
        this.holds.set(name, { before: settle > 0 ? undefined : this.tokens.get(name), writers: new Map(), settle })
      }
      this.windows.delete(name)
      this.tokens.delete(name)
      this.holds.get(name)!.writers.set(writer, Date.now() + milliseconds)
    }
  }

  async end (names: readonly string[], writer: string, fresh: string, written: boolean): Promise<void> {
    for (const name of names) {
      const hold = this.held(name) ? this.holds.get(name)! : undefined
      if (hold !== undefined) {
        if (written) hold.before = undefined
        hold.writers.delete(writer)
        if (hold.writers.size > 0) continue
        this.holds.delete(name)
      }
      if (hold !== undefined && hold.settle > 0) await super.bump([name], fresh, hold.settle)
      else if (hold !== undefined || written) this.tokens.set(name, hold?.before ?? fresh)
    }
  }

  /** Forgets the writers whose time is over. */
  held (name: string): boolean {
    const hold = this.holds.get(name)
    if (hold === undefined) return false
    for (const [writer, until] of hold.writers) {
      if (until > Date.now()) continue
      hold.before = undefined
      hold.writers.delete(writer)
    }
    if (hold.writers.size === 0) this.holds.delete(name)
    return hold.writers.size > 0
  }

  async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
    const lease = this.leased.get(key)
    if (lease !== undefined && lease.holder !== holder && lease.until > Date.now()) return false
    this.leased.set(key, { holder, until: Date.now() + milliseconds })
    return true
  }

  async release (key: string, holder: string, news: string): Promise<void> {
    if (this.leased.get(key)?.holder !== holder) return
    this.leased.delete(key)
    for (const listener of this.listeners) listener(key, news)
  }

  subscribe (listener: (key: string, news: string) => void): void {
    this.listeners.push(listener)
  }
}
