import { AssertionError } from 'node:assert'
import t from 'tap'
import type { CacheStore, Entry, Intents, Leases, Lookup, SoftenedAt, SoftWrites } from '../../index.js'
import type { IsCurrent, SweepHints } from '../../lib/store/contract.js'
import { storeSuite } from '../../lib/store/suite.js'
import { lasting } from '../support/entry.js'
import { FullStore, MapStore } from '../support/map-store.js'

t.test('a store of a user that keeps the contract passes every case', async (t) => {
  for (const { name, run } of storeSuite(() => new MapStore())) await t.resolves(run(), name)
})

t.test('the suite opens a store for each case, waits for it and closes it', async (t) => {
  let opened = 0
  let closed = 0
  const cases = storeSuite(async () => {
    opened++
    return Object.assign(new MapStore(), { close: () => { closed++ } })
  })
  t.equal(opened, 0)
  for (const { run } of cases) await run()
  t.equal(opened, cases.length)
  t.equal(closed, cases.length)
})

t.test('a case that fails closes its store, too', async (t) => {
  let closed = 0
  const cases = storeSuite(() => Object.assign(new MapStore(), { name: '', close: () => { closed++ } }))
  await t.rejects(cases[0]!.run())
  t.equal(closed, 1)
})

t.test('a store with all optional parts that keeps the contract passes every case', async (t) => {
  for (const { name, run } of storeSuite(() => new FullStore())) await t.resolves(run(), name)
})

const wrong: Record<string, () => CacheStore> = {
  'has no name': () => new class extends MapStore { override readonly name = '' }(),
  'is never ready': () => Object.assign(new MapStore(), { ready: () => false }),
  'never answers a ping': () => Object.assign(new MapStore(), { ping: async () => { throw new AssertionError({ message: 'no answer' }) } }),
  'finds entries that were not set': () => new class extends MapStore {
    override async lookup (key: string, names: readonly string[]): Promise<Lookup> {
      const found = await super.lookup(key, names)
      return { ...found, entry: found.entry ?? [...this.entries.values()][0]?.entry ?? EMPTY }
    }
  }(),
  'leaves out versions that do not exist': () => new class extends MapStore {
    override async versions (names: readonly string[]): Promise<Array<string | undefined>> {
      return (await super.versions(names)).filter((version) => version !== undefined)
    }
  }(),
  'returns the versions in another order': () => new class extends MapStore {
    override async versions (names: readonly string[]): Promise<Array<string | undefined>> {
      return await super.versions([...names].sort())
    }
  }(),
  'keeps bodies as UTF-8': () => storing((entry) => ({ ...entry, body: Buffer.from(String(entry.body)) })),
  'returns a string that is not the body': () => storing((entry) => ({ ...entry, text: `${String(entry.body)}!` })),
  'loses the names of removed headers': () => storing((entry) => ({ ...entry, removedHeaders: undefined })),
  'loses the request headers that select variants': () => storing((entry) => ({ ...entry, vary: undefined })),
  'loses encoded bodies': () => storing((entry) => ({ ...entry, encoded: undefined })),
  'loses the length of a body that is kept encoded only': () => storing((entry) => ({ ...entry, plainLength: undefined })),
  'loses the age': () => storing((entry) => ({ ...entry, initialAge: 0 })),
  'treats an entry as fresh until it is deleted': () => storing((entry) => ({ ...entry, staleAt: entry.deleteAt })),
  'never replaces an entry': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> {
      if (!this.entries.has(key)) await super.set(key, entry)
    }
  }(),
  'folds the case of keys': () => withKeys((key) => key.toLowerCase()),
  'truncates long keys': () => withKeys((key) => key.slice(0, 200)),
  'keeps entries for ever': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> { await super.set(key, entry, Infinity) }
  }(),
  'takes seconds for milliseconds': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> {
      await super.set(key, entry, Date.now() + (entry.deleteAt - Date.now()) / 1000)
    }
  }(),
  'replaces a version that it should ensure': () => new class extends MapStore {
    override async ensure (names: readonly string[], fresh: string): Promise<string[]> {
      await this.bump(names, fresh)
      return names.map(() => fresh)
    }
  }(),
  'ensures without writing': () => new class extends MapStore {
    override async ensure (names: readonly string[], fresh: string): Promise<string[]> {
      return (await this.versions(names)).map((version) => version ?? fresh)
    }
  }(),
  'ensures in two steps': () => new class extends MapStore {
    override async ensure (names: readonly string[], fresh: string): Promise<string[]> {
      const current = await this.versions(names)
      names.forEach((name, index) => { this.tokens.set(name, current[index] ?? fresh) })
      return current.map((version) => version ?? fresh)
    }
  }(),
  'knows no windows': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> { await super.bump(names, fresh) }
  }(),
  'never ends a window': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> { await super.bump(names, fresh, settle * 1e6) }
  }(),
  'makes no version for a window where there was none': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
      await super.bump(names.filter((name) => this.tokens.has(name)), fresh, settle)
    }
  }(),
  'prolongs a window with each bump': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
      for (const name of names) await super.bump([name], fresh, this.windowLeft(name) > 0 ? 60_000 : settle)
    }
  }(),
  'ends a window with the next bump': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
      for (const name of names) this.windows.delete(name)
      await super.bump(names, fresh, settle)
    }
  }(),
  'makes every bump one of a window': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> { await super.bump(names, fresh, Math.max(settle, 60_000)) }
  }(),
  'forgets the window of a held version': () => new class extends FullStore {
    override async bump (names: readonly string[], fresh: string, settle = 0): Promise<void> {
      for (const name of names) await super.bump([name], fresh, this.held(name) ? 0 : settle)
    }
  }(),
  'bumps only versions that do not exist': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> { await this.ensure(names, fresh) }
  }(),
  'bumps everything': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      await super.bump([...names, ...this.tokens.keys()], fresh)
    }
  }(),
  'confirms a bump before it is done': () => new class extends MapStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      setImmediate(() => { void super.bump(names, fresh) })
    }
  }(),
  'lists other namespaces, too': () => new class extends MapStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> { yield * super.keys(prefix.slice(0, -1)) }
  }(),
  'lists no versions': () => new class extends MapStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      for await (const key of super.keys(prefix)) if (this.entries.has(key)) yield key
    }
  }(),
  'lists only the first page': () => new class extends MapStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      let count = 0
      for await (const key of super.keys(prefix)) if (count++ < 1000) yield key
    }
  }(),
  'takes a prefix for a pattern': () => new class extends MapStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      const pattern = new RegExp(`^${prefix.replace(/[|!/]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.').replace(/\\$/, '')}`)
      for await (const key of super.keys('')) if (pattern.test(key)) yield key
    }
  }(),
  'sweeps current entries': () => new class extends MapStore {
    override async sweep (prefix: string): Promise<number> { return await super.sweep(prefix, () => false) }
  }(),
  'sweeps nothing': () => new class extends MapStore {
    override async sweep (): Promise<number> { return 0 }
  }(),
  'sweeps other namespaces, too': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
      return await super.sweep(prefix.slice(0, -1), isCurrent)
    }
  }(),
  'sweeps versions': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
      this.tokens.clear()
      return await super.sweep(prefix, isCurrent)
    }
  }(),
  'does not return how many it swept': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
      await super.sweep(prefix, isCurrent)
      return 0
    }
  }(),
  'takes a promise for a current entry': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent): Promise<number> {
      return await super.sweep(prefix, (versions) => isCurrent(versions) !== false)
    }
  }(),
  'sweeps only the first of several namespaces': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent, { namespaces = new Set([prefix]) }: SweepHints = {}): Promise<number> {
      return await super.sweep([...namespaces][0]!, isCurrent)
    }
  }(),
  'names current entries as deleted': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: IsCurrent, { deleted }: SweepHints = {}): Promise<number> {
      for (const [key, { entry }] of this.entries) if (key.startsWith(prefix)) deleted?.(entry.versions)
      return await super.sweep(prefix, isCurrent)
    }
  }(),
  'gives a lease to every holder': () => new class extends FullStore {
    override async take (): Promise<boolean> { return true }
  }(),
  'gives leases for ever': () => new class extends FullStore {
    override async take (key: string, holder: string): Promise<boolean> { return await super.take(key, holder, 1e9) }
  }(),
  'releases a lease for any holder': () => new class extends FullStore {
    override async release (key: string): Promise<void> { this.leased.delete(key) }
  }(),
  'never prolongs a lease': () => new class extends FullStore {
    override async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return !this.leased.has(key) && await super.take(key, holder, milliseconds)
    }
  }(),
  'says that it prolongs a lease but does not': () => new class extends FullStore {
    override async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return this.leased.get(key)?.holder === holder || await super.take(key, holder, milliseconds)
    }
  }(),
  'does not publish that a lease was released': () => new class extends FullStore {
    override subscribe (): void {}
  }(),
  'publishes other news than it was given': () => new class extends FullStore {
    override async release (key: string, holder: string, news: string): Promise<void> { await super.release(key, holder, `${news}!`) }
  }(),
  'has leases that cannot be released': () => Object.assign(new MapStore(), { leases: { take: async () => true } as unknown as Leases }),
  'has leases without news': () => new class extends FullStore {
    override readonly leases = { take: this.take.bind(this), release: this.release.bind(this) } as unknown as Leases
  }(),
  'holds nothing': () => new class extends FullStore {
    override async begin (): Promise<void> {}
  }(),
  'holds for ever': () => new class extends FullStore {
    override async begin (names: readonly string[], writer: string): Promise<void> { await super.begin(names, writer, 1e9) }
  }(),
  'never renews an intent': () => new class extends FullStore {
    override async begin (names: readonly string[], writer: string, milliseconds: number): Promise<void> {
      await super.begin(names.filter((name) => this.holds.get(name)?.writers.has(writer) !== true), writer, milliseconds)
    }
  }(),
  'never ends an intent': () => new class extends FullStore {
    override async end (): Promise<void> {}
  }(),
  'ends the intents of other writers, too': () => new class extends FullStore {
    override async end (names: readonly string[], _writer: string, fresh: string, written: boolean): Promise<void> {
      for (const name of names) {
        for (const writer of this.holds.get(name)?.writers.keys() ?? []) await super.end([name], writer, fresh, written)
      }
    }
  }(),
  'restores the version from before a write': () => new class extends FullStore {
    override async end (names: readonly string[], writer: string, fresh: string): Promise<void> {
      await super.end(names, writer, fresh, false)
    }
  }(),
  'never restores the version before if no writer has written': () => new class extends FullStore {
    override async end (names: readonly string[], writer: string, fresh: string): Promise<void> {
      await super.end(names, writer, fresh, true)
    }
  }(),
  'ends an intent with a bump': () => new class extends FullStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      for (const name of names) this.holds.delete(name)
      await super.bump(names, fresh)
    }
  }(),
  'does not list held versions': () => new class extends FullStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      for await (const key of super.keys(prefix)) if (!this.held(key)) yield key
    }
  }(),
  'forgets a bump of a held version': () => new class extends FullStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      await super.bump(names.filter((name) => !this.held(name)), fresh)
    }
  }(),
  'restores a version that a crashed writer held': () => new class extends FullStore {
    override held (name: string): boolean {
      const before = this.holds.get(name)?.before
      const held = super.held(name)
      if (!held && before !== undefined) this.tokens.set(name, before)
      return held
    }
  }(),
  'lets what soft writes replaced be used after a hard one': () => new class extends FullStore {
    override softened (...[name, earlier]: Parameters<SoftenedAt>): ReturnType<SoftenedAt> {
      return super.softened(name, earlier, this.softly.get(name)?.current)
    }
  }(),
  'lets what soft writes replaced be used for ever': () => new class extends FullStore {
    override async soften (names: readonly string[], fresh: string, _soft: number, settle: number): Promise<void> {
      await super.soften(names, fresh, Infinity, settle)
    }
  }(),
  'prolongs what an earlier soft write allowed': () => new class extends FullStore {
    override async soften (names: readonly string[], fresh: string, soft: number, settle: number): Promise<void> {
      await super.soften(names, fresh, soft, settle)
      for (const { replaced } of this.softly.values()) for (const one of replaced) one.until = Date.now() + soft
    }
  }(),
  'takes a soft write as a hard one that has the part': () => new class extends FullStore {
    override softened (): undefined {}
  }(),
  'does not replace the version in a soft write': () => new class extends FullStore {
    override async soften (): Promise<void> {}
  }(),
  'forgets the window of a soft write': () => new class extends FullStore {
    override async soften (names: readonly string[], fresh: string, soft: number): Promise<void> {
      await super.soften(names, fresh, soft, 0)
    }
  }(),
  'has a part of soft writes that is not whole': () => Object.assign(new MapStore(), { soft: { bump: async () => {} } as unknown as SoftWrites }),
  'lists what soft writes record': () => new class extends FullStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      yield * super.keys(prefix)
      for (const name of this.softly.keys()) if (name.startsWith(prefix)) yield `${name}~soft`
    }
  }(),
  'begins intents but never ends them': () => Object.assign(new MapStore(), { intents: { begin: async () => {} } as unknown as Intents })
}

const EMPTY: Entry = { route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'empty', body: Buffer.alloc(0), ...lasting(1) }

function storing (change: (entry: Entry) => Entry): CacheStore {
  return new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> { await super.set(key, change(entry), entry.deleteAt) }
  }()
}

function withKeys (change: (key: string) => string): CacheStore {
  return new class extends MapStore {
    override async lookup (key: string, names: readonly string[]): Promise<Lookup> { return await super.lookup(change(key), names) }
    override async set (key: string, entry: Entry): Promise<void> { await super.set(change(key), entry) }
  }()
}

// Most of their time they wait for an entry's second to pass.
t.jobs = 20
for (const [fault, open] of Object.entries(wrong)) {
  t.test(`a store that ${fault} fails the suite`, { buffered: true }, async (t) => {
    const failures: unknown[] = []
    await Promise.all(storeSuite(open).map(async ({ run }) => {
      try {
        await run()
      } catch (error) {
        failures.push(error)
      }
    }))
    t.not(failures.length, 0)
    for (const failure of failures) t.type(failure, AssertionError)
  })
}
