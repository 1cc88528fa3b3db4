import { AssertionError } from 'node:assert'
import t from 'tap'
import type { CacheStore, Entry, Intents, Leases, Lookup } from '../../index.js'
import { storeSuite } from '../../lib/store/suite.js'
import { lasting } from '../support/entry.js'
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
  'answers the versions in an order of its own': () => new class extends MapStore {
    override async versions (names: readonly string[]): Promise<Array<string | undefined>> {
      return await super.versions([...names].sort())
    }
  }(),
  'keeps bodies as UTF-8': () => storing((entry) => ({ ...entry, body: Buffer.from(String(entry.body)) })),
  'gives a text that is not the body\'s': () => storing((entry) => ({ ...entry, text: `${String(entry.body)}!` })),
  'loses the headers that were removed': () => storing((entry) => ({ ...entry, removedHeaders: undefined })),
  'loses the request headers that choose between variants': () => storing((entry) => ({ ...entry, vary: undefined })),
  'loses the age': () => storing((entry) => ({ ...entry, initialAge: 0 })),
  'takes an entry to be fresh until it is deleted': () => storing((entry) => ({ ...entry, staleAt: entry.deleteAt })),
  'never replaces an entry': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> {
      if (!this.entries.has(key)) await super.set(key, entry)
    }
  }(),
  'folds the case of keys': () => withKeys((key) => key.toLowerCase()),
  'cuts long keys off': () => withKeys((key) => key.slice(0, 200)),
  'keeps entries for ever': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> { await super.set(key, entry, Infinity) }
  }(),
  'takes the seconds for milliseconds': () => new class extends MapStore {
    override async set (key: string, entry: Entry): Promise<void> {
      await super.set(key, entry, Date.now() + (entry.deleteAt - Date.now()) / 1000)
    }
  }(),
  'replaces what is to be ensured': () => new class extends MapStore {
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
  'bumps only what does not exist': () => new class extends MapStore {
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
      this.tokens.clear()
      return await super.sweep(prefix, isCurrent)
    }
  }(),
  'does not tell how many it swept': () => new class extends MapStore {
    override async sweep (prefix: string, isCurrent: (versions: Readonly<Record<string, string>>) => boolean): Promise<number> {
      await super.sweep(prefix, isCurrent)
      return 0
    }
  }(),
  'gives a lease to everybody': () => new class extends FullStore {
    override async take (): Promise<boolean> { return true }
  }(),
  'gives leases for ever': () => new class extends FullStore {
    override async take (key: string, holder: string): Promise<boolean> { return await super.take(key, holder, 1e9) }
  }(),
  'takes a lease back from anybody': () => new class extends FullStore {
    override async release (key: string): Promise<void> { this.leased.delete(key) }
  }(),
  'never prolongs a lease': () => new class extends FullStore {
    override async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return !this.leased.has(key) && await super.take(key, holder, milliseconds)
    }
  }(),
  'prolongs a lease in word only': () => new class extends FullStore {
    override async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
      return this.leased.get(key)?.holder === holder || await super.take(key, holder, milliseconds)
    }
  }(),
  'tells nobody that a lease has been given back': () => new class extends FullStore {
    override subscribe (): void {}
  }(),
  'tells something else than it was given': () => new class extends FullStore {
    override async release (key: string, holder: string, news: string): Promise<void> { await super.release(key, holder, `${news}!`) }
  }(),
  'gives leases but never takes them back': () => Object.assign(new MapStore(), { leases: { take: async () => true } as unknown as Leases }),
  'gives leases but tells nobody': () => new class extends FullStore {
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
  'brings back what was before a writer had written': () => new class extends FullStore {
    override async end (names: readonly string[], writer: string, fresh: string): Promise<void> {
      await super.end(names, writer, fresh, false)
    }
  }(),
  'never brings back what was before, where no writer has written': () => new class extends FullStore {
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
  'does not list what is held': () => new class extends FullStore {
    override async * keys (prefix: string): AsyncGenerator<string, void, undefined> {
      for await (const key of super.keys(prefix)) if (!this.held(key)) yield key
    }
  }(),
  'forgets a bump of what is held': () => new class extends FullStore {
    override async bump (names: readonly string[], fresh: string): Promise<void> {
      await super.bump(names.filter((name) => !this.held(name)), fresh)
    }
  }(),
  'brings back what a lost writer held': () => new class extends FullStore {
    override held (name: string): boolean {
      const before = this.holds.get(name)?.before
      const held = super.held(name)
      if (!held && before !== undefined) this.tokens.set(name, before)
      return held
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
