import * as zlib from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { ReadPolicy } from '../../index.js'
import { preferredCoding } from '../../lib/http/accept-encoding.js'
import { asking, cached } from '../http/ask.js'
import { codingOf, plainOf, rows, text } from './encoded.js'

/** The coding that a client gets, by its Accept-Encoding, of br before gzip. */
const table: Record<string, string> = {
  br: 'br',
  gzip: 'gzip',
  'x-gzip': 'gzip',
  'gzip, br': 'br',
  'gzip, deflate, br, zstd': 'br',
  'GZIP, Deflate': 'gzip',
  'br;q=0.5, gzip': 'gzip',
  'br;q=0.5,gzip;q=0.4': 'br',
  'br;q=0, gzip': 'gzip',
  'br;q=0': 'identity',
  'br;q=0.000, *': 'gzip',
  'br ; q=0.2 , gzip ;q=0.3': 'gzip',
  '*': 'br',
  '*;q=0': 'identity',
  'gzip;q=0.5, *;q=0.1': 'gzip',
  'identity, br': 'br',
  'identity, br;q=0.9': 'identity',
  'identity;q=0.5, br;q=0.5': 'br',
  'identity;q=0, gzip': 'gzip',
  'identity;q=0': 'identity',
  'identity;q=0, *;q=0': 'identity',
  identity: 'identity',
  '': 'identity',
  ',': 'identity',
  ',,br,,': 'br',
  deflate: 'identity',
  'brotli, gzipped': 'identity',
  'br;q=2': 'identity',
  'br;q=-1': 'identity',
  'br;q=x': 'identity',
  'br;level=4': 'identity',
  'br;q=1.000': 'br',
  'br;q=0.': 'identity',
  'br gzip': 'identity',
  'br, br;q=0': 'identity',
  'br;q=0, br': 'identity',
  'br, gzip;q=1.9': 'br'
}

t.test('each client gets the coding that it accepts most, on a MISS and on a HIT', async (t) => {
  const cache = { namespace: 'n', expire: 60, compress: ['br', 'gzip'] } as const
  const { ask } = await asking(t, (app) => app.get('/:id', { config: { cache } }, async () => rows))
  for (const [index, [accepted, expected]] of Object.entries(table).entries()) {
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask(`/${index}`, { 'accept-encoding': accepted })
      t.equal(cached(answered.headers), state)
      t.equal(codingOf(answered), expected, `${state} for '${accepted}'`)
      t.equal(plainOf(answered), text)
      t.equal(Number(answered.headers['content-length']), answered.bytes.length)
      t.equal(answered.headers.vary, 'accept-encoding')
    }
  }
})

t.test('a client that does not say what it accepts gets the body as it is', async (t) => {
  const cache = { namespace: 'n', expire: 60, compress: true } as const
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rows))
  for (const state of ['MISS', 'HIT', 'HIT']) {
    const answered = await ask()
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'identity')
    t.equal(answered.text, text)
    t.equal(answered.headers.vary, 'accept-encoding', 'others would get something else')
    t.match(answered.headers.etag, /^"/)
  }
})

t.test('of equal weights, the order of the route decides', async (t) => {
  t.equal(preferredCoding('br, gzip, zstd', ['gzip', 'br']), 'gzip')
  t.equal(preferredCoding('*', ['zstd', 'gzip', 'br']), 'zstd')
  t.equal(preferredCoding('*, zstd;q=0.9', ['zstd', 'gzip', 'br']), 'gzip')
  t.equal(preferredCoding('br', []), undefined)
})

const hostile: Record<string, string> = {
  'many members': 'x,'.repeat(8_000),
  'many weights': 'br;q=0.1,'.repeat(2_000),
  'many spaces': `br${' '.repeat(16_000)}x`,
  'many spaces before a weight': `br;${' '.repeat(16_000)}q`,
  'many digits': `br;q=0.${'1'.repeat(16_000)}x`,
  'a long name': 'b'.repeat(16_000),
  'many signs': ';q='.repeat(5_000)
}

for (const [what, header] of Object.entries(hostile)) {
  t.test(`an Accept-Encoding with ${what} takes no time worth measuring`, async (t) => {
    const began = process.cpuUsage()
    for (let times = 0; times < 100; times++) preferredCoding(header, ['br', 'zstd', 'gzip'])
    const { user, system } = process.cpuUsage(began)
    t.ok((user + system) / 1_000 < 500, `${(user + system) / 1_000} ms for 100`)
  })
}

t.test('what is not worth it is the same for all clients', async (t) => {
  const cache = { namespace: 'n', expire: 60, compress: true } as const
  const { ask } = await asking(t, (app) => {
    app.get('/short', { config: { cache } }, async () => 'x'.repeat(1_023))
    app.get('/image', { config: { cache } }, async (_request, reply) => reply.type('image/png').send(Buffer.alloc(5_000)))
    app.get('/unknown', { config: { cache } }, async (_request, reply) => reply.type('x/y').send(Buffer.alloc(5_000)))
    app.get('/forbidden', { config: { cache } }, async (_request, reply) => {
      reply.header('cache-control', 'max-age=60, No-Transform')
      return rows
    })
    app.get('/digest', { config: { cache } }, async (_request, reply) => {
      reply.header('content-digest', 'sha-256=:of these bytes:')
      return rows
    })
  })
  for (const path of ['/short', '/image', '/unknown', '/forbidden', '/digest']) {
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask(path, { 'accept-encoding': 'br' })
      t.equal(cached(answered.headers), state)
      t.equal(codingOf(answered), 'identity', path)
      t.notMatch(answered.headers.vary ?? '', /accept-encoding/, path)
    }
  }
})

t.test('a request that forbids transformations gets the body as it is', async (t) => {
  const cache = { namespace: 'n', expire: 60, compress: true } as const
  const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async () => rows))
  for (const state of ['MISS', 'HIT']) {
    const answered = await ask('/', { 'accept-encoding': 'br', 'cache-control': 'no-transform' })
    t.equal(cached(answered.headers), state)
    t.equal(codingOf(answered), 'identity')
  }
})

for (const type of ['text/html', 'text/x-mine', 'application/json; charset=utf-8', 'application/vnd.mine+json',
  'application/javascript', 'image/svg+xml', 'application/mine+xml', 'Application/JSON']) {
  t.test(`${type} is compressible`, async (t) => {
    const cache = { namespace: 'n', expire: 60, compress: true } as const
    const { ask } = await asking(t, (app) => app.get('/', { config: { cache } }, async (_request, reply) =>
      reply.header('content-type', type).send(text)))
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask('/', { 'accept-encoding': 'gzip' })
      t.equal(cached(answered.headers), state)
      t.equal(codingOf(answered), 'gzip')
      t.equal(plainOf(answered), text)
    }
  })
}

t.test('zstd is used where Node has it, and left out where it has not', async (t) => {
  const hasZstd = 'zstdCompress' in zlib
  const declare = (compress: ReadPolicy['compress']) => async (app: FastifyInstance): Promise<void> => {
    app.get('/', { config: { cache: { namespace: 'n', expire: 60, compress } } }, async () => rows)
  }
  for (const [compress, without] of [[['zstd', 'gzip'], 'gzip'], [['zstd'], 'identity']] as const) {
    const { app, ask } = await asking(t, declare(compress))
    for (const state of ['MISS', 'HIT', 'HIT']) {
      const answered = await ask('/', { 'accept-encoding': 'gzip, zstd' })
      t.equal(cached(answered.headers), state)
      t.equal(codingOf(answered), hasZstd ? 'zstd' : without)
      t.equal(plainOf(answered), text)
    }
    await app.close()
  }
})
