import { AssertionError } from 'node:assert'
import t from 'tap'
import type { CacheStore, Entry, Lookup } from '../../index.js'
import { storeSuite } from '../../lib/store/suite.js'
import { FullStore, MapStore } from '../support/map-store.js'

t.test('a store of a user\'s own that keeps the contract passes every case', async (t) => {
  for (const { name, run } of storeSuite(() => new MapStore())) await t.resolves(run(), name)
})

t.test('the suite takes a store that opens later, one for each case, and closes it', async (t) => {
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

t.test('a store with all that is optional that keeps the contract passes every case', async (t) => {
  for (const { name, run } of storeSuite(() => new FullStore())) await t.resolves(run(), name)
})

const wrong: Record<string, () => CacheStore> = {
  'has no name': () => new class extends MapStore { override readonly name = '' }(),
  'is never ready': () => Object.assign(new MapStore(), { ready: () => false }),
  'never answers a ping': () => Object.assign(new MapStore(), { ping: async () => { throw new AssertionError({ message: 'no answer' }) } }),
  'finds entries that nobody set': () => new class extends MapStore {
    override async lookup (key: string, versions: readonly string[]): Promise<Lookup> {
      const found = await super.lookup(key, versions)
      return { ...found, entry: found.entry ?? [...this.entries.values()][0]?.entry ?? EMPTY }
    }
  }(),
  'leaves out versions that do not exist': () => new class extends MapStore {
    override async current (versions: readonly string[]): Promise<Array<string | undefined>> {
      return (await super.current(versions)).filter((version) => version !== undefined)
    }
  }(),
  'answers the versions in an order of its own': () => new class extends MapStore {
    override async current (versions: readonly string[]): Promise<Array<string | undefined>> {
      return await super.current([...versions].sort())
    }
  }(),
  'keeps bodies as UTF-8': () => storing((entry) => ({ ...entry, body: Buffer.from(String(entry.body)) })),
  'gives a text that is not the body\'s': () => storing((entry) => ({ ...entry, text: `${String(entry.body)}!` })),
  'loses headers that were taken away': () => storing((entry) => ({ ...entry, removed: undefined })),
  'loses what an entry varies on': () => storing((entry) => ({ ...entry, variesOn: undefined })),
  'loses the age': () => storing((entry) => ({ ...entry, age: 0 })),
  'never replaces an entry': () => new class extends MapStore {
    override async set (key: string, entry: Entry, seconds: number): Promise<void> {
      if (!this.entries.has(key)) await super.set(key, entry, seconds)
    }
  }(),
  'folds the case of keys': () => withKeys((key) => key.toLowerCase()),
  'cuts long keys off': () => withKeys((key) => key.slice(0, 200)),
  'keeps entries for ever': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> { await super.set(key, entry, 1e9) }
  }(),
  'takes the seconds for milliseconds': () => new class extends MapStore {
    override async set (key: string, entry: Entry, seconds: number): Promise<void> { await super.set(key, entry, seconds / 1000) }
  }(),
  'claims what is there already': () => new class extends MapStore {
    override async claim (versions: readonly string[], fresh: string): Promise<string[]> {
      await this.move(versions, fresh)
      return versions.map(() => fresh)
    }
  }(),
  'claims without writing': () => new class extends MapStore {
    override async claim (versions: readonly string[], fresh: string): Promise<string[]> {
      return (await this.current(versions)).map((version) => version ?? fresh)
    }
  }(),
  'claims in two steps': () => new class extends MapStore {
    override async claim (versions: readonly string[], fresh: string): Promise<string[]> {
      const current = await this.current(versions)
      versions.forEach((version, index) => { this.versions.set(version, current[index] ?? fresh) })
      return current.map((version) => version ?? fresh)
    }
  }(),
  'moves only what exists': () => new class extends MapStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> {
      await super.move(versions.filter((version) => this.versions.has(version)), fresh)
    }
  }(),
  'moves only what does not exist': () => new class extends MapStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> { await this.claim(versions, fresh) }
  }(),
  'moves everything': () => new class extends MapStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> {
      await super.move([...versions, ...this.versions.keys()], fresh)
    }
  }(),
  'confirms a move before it is done': () => new class extends MapStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> {
      setImmediate(() => { void super.move(versions, fresh) })
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
  'lists the first page only': () => new class extends MapStore {
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
  'sweeps what is current': () => new class extends MapStore {
    override async sweep (prefix: string): Promise<number> { return await super.sweep(prefix, () => false) }
  }(),
  'sweeps nothing': () => new class extends MapStore {
    override async sweep (): Promise<number> { return 0 }
  }(),
  'sweeps other namespaces, too': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
      return await super.sweep(prefix.slice(0, -1), isCurrent)
    }
  }(),
  'sweeps versions away': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
      this.versions.clear()
      return await super.sweep(prefix, isCurrent)
    }
  }(),
  'does not tell how many it swept': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
      await super.sweep(prefix, isCurrent)
      return 0
    }
  }(),
  'leases to everybody': () => new class extends FullStore {
    override async lease (): Promise<boolean> { return true }
  }(),
  'leases for ever': () => new class extends FullStore {
    override async lease (key: string, holder: string): Promise<boolean> { return await super.lease(key, holder, 1e9) }
  }(),
  'lets anybody give a lease back': () => new class extends FullStore {
    override async release (key: string): Promise<void> { this.leases.delete(key) }
  }(),
  'never prolongs a lease': () => new class extends FullStore {
    override async lease (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return !this.leases.has(key) && await super.lease(key, holder, milliseconds)
    }
  }(),
  'prolongs a lease in word only': () => new class extends FullStore {
    override async lease (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return this.leases.get(key)?.holder === holder || await super.lease(key, holder, milliseconds)
    }
  }(),
  'tells nobody of a lease that is given back': () => new class extends FullStore {
    override listen (): void {}
  }(),
  'tells something else than it was given': () => new class extends FullStore {
    override async release (key: string, holder: string, news: string): Promise<void> { await super.release(key, holder, `${news}!`) }
  }(),
  'leases but never releases': () => Object.assign(new MapStore(), { lease: async () => true }),
  'holds nothing': () => new class extends FullStore {
    override async hold (): Promise<void> {}
  }(),
  'holds for ever': () => new class extends FullStore {
    override async hold (versions: readonly string[], writer: string): Promise<void> { await super.hold(versions, writer, 1e9) }
  }(),
  'never opens what was held': () => new class extends FullStore {
    override async letGo (): Promise<void> {}
  }(),
  'opens what another writer holds': () => new class extends FullStore {
    override async letGo (versions: readonly string[], _writer: string, fresh: string, moved: boolean): Promise<void> {
      for (const version of versions) {
        for (const writer of this.holds.get(version)?.writers.keys() ?? []) await super.letGo([version], writer, fresh, moved)
      }
    }
  }(),
  'brings back what was before a writer moved it': () => new class extends FullStore {
    override async letGo (versions: readonly string[], writer: string, fresh: string): Promise<void> {
      await super.letGo(versions, writer, fresh, false)
    }
  }(),
  'never brings back what no writer moved': () => new class extends FullStore {
    override async letGo (versions: readonly string[], writer: string, fresh: string): Promise<void> {
      await super.letGo(versions, writer, fresh, true)
    }
  }(),
  'opens a held version with a move': () => new class extends FullStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> {
      for (const version of versions) this.holds.delete(version)
      await super.move(versions, fresh)
    }
  }(),
  'does not list what is held': () => new class extends FullStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      for await (const key of super.keys(prefix)) if (!this.held(key)) yield key
    }
  }(),
  'forgets a move of what is held': () => new class extends FullStore {
    override async move (versions: readonly string[], fresh: string): Promise<void> {
      await super.move(versions.filter((version) => !this.held(version)), fresh)
    }
  }(),
  'brings back what a lost writer held': () => new class extends FullStore {
    override held (version: string): boolean {
      const before = this.holds.get(version)?.before
      const held = super.held(version)
      if (!held && before !== undefined) this.versions.set(version, before)
      return held
    }
  }(),
  'holds but never lets go': () => Object.assign(new MapStore(), { hold: async () => {} })
}

const EMPTY: Entry = { route: 'GET /', versions: {}, status: 200, headers: {}, kind: 'empty', body: Buffer.alloc(0), filledAt: 0, age: 0, lifetime: 1 }

function storing (change: (entry: Entry) => Entry): CacheStore {
  return new class extends MapStore {
    override async set (key: string, entry: Entry, seconds: number): Promise<void> { await super.set(key, change(entry), seconds) }
  }()
}

function withKeys (change: (key: string) => string): CacheStore {
  return new class extends MapStore {
    override async lookup (key: string, versions: readonly string[]): Promise<Lookup> { return await super.lookup(change(key), versions) }
    override async set (key: string, entry: Entry, seconds: number): Promise<void> { await super.set(change(key), entry, seconds) }
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
