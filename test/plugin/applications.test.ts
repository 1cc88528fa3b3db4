import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { MemoryStore, type ApiCacheOptions } from '../../index.js'
import { applicationName } from '../../lib/application.js'
import { eachTier } from '../support/each-store.js'
import { complaints, loggingTo, type LogLine } from '../support/log.js'
import { PATIENT } from '../support/patient-stores.js'
import { serving, type Serving } from '../support/serving.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const test = eachTier()

const declaring = (text: string, cache: object) => (app: FastifyInstance): void => {
  app.get('/', { config: { cache: { namespace: 'pages', expire: 60, ...cache } } }, async () => text)
  app.get('/varied', { config: { cache: { namespace: 'pages', expire: 60, ...cache } } }, async (_request, reply) => {
    reply.header('vary', 'x-lang')
    return text
  })
  app.post('/', { config: { cache: { invalidate: 'pages' } } }, async () => 'done')
}

/** Applications on one store under one prefix; each answers with its number. */
async function applications (
  t: Test, options: ApiCacheOptions, names: Array<string | undefined>, cache: object = {}
): Promise<Array<Serving & { lines: LogLine[] }>> {
  const common = { ...options, ...PATIENT, host: false, ...(options.redis === undefined ? { store: new MemoryStore() } : {}) }
  return await Promise.all(names.map(async (application, index) => {
    const lines: LogLine[] = []
    const server = await serving(t, { ...common, application }, declaring(`application ${index + 1}`, cache), loggingTo(lines))
    return { ...server, lines }
  }))
}

for (const [what, cache] of Object.entries({ 'each process for itself': {}, 'with one fill in all processes': { coalesce: 'fleet' } })) {
  test(`two applications with one prefix never answer for each other, ${what}, and each says so once`, async (t, options) => {
    const servers = await applications(t, options, ['shop', 'blog'], cache)
    // A local tier goes on with an application's own entries, whatever replaces them in Redis.
    const isLocal = options.local !== undefined
    for (let round = 0; round < 3; round++) {
      for (const path of ['/', '/varied']) {
        for (const [index, { app, request }] of servers.entries()) {
          const seen = await request(path)
          t.match(seen, { status: 200, cache: isLocal && round > 0 ? 'HIT' : 'MISS', text: `application ${index + 1}` })
          if (seen.cache === 'MISS' && round + index > 0) {
            t.match(seen.headers.get('cache-status'), path === '/' ? /fwd=uri-miss;stored;detail=other-application$/ : /fwd=uri-miss;stored/)
          }
          await app.apiCache.settled()
          t.match(await request(path), { cache: 'HIT', text: `application ${index + 1}` })
        }
      }
    }
    const [shop, blog] = servers.map(({ lines }) => complaints(lines))
    const msg = /another application has the same prefix.*give each its own 'prefix'/
    t.match(blog, [{ level: 40, application: 'blog', other: 'shop', msg }])
    if (isLocal) t.same(shop, [])
    else t.match(shop, [{ level: 40, application: 'shop', other: 'blog', msg }])
    for (const told of [shop, blog]) t.ok(told!.length <= 1)
  })
}

test('a write of one application makes the entries of another old, too', async (t, options) => {
  const [shop, blog] = await applications(t, options, ['shop', 'blog'])
  await shop!.request('/')
  await shop!.app.apiCache.settled()
  t.equal((await shop!.request('/')).cache, 'HIT')
  await blog!.request('/', { method: 'POST' })
  t.equal((await shop!.request('/')).cache, 'MISS')
})

for (const [what, names] of Object.entries({ 'one name': ['shop', 'shop'], 'the name in one package.json': [undefined, undefined] })) {
  test(`two servers of one application, by ${what}, share their entries`, async (t, options) => {
    const servers = await applications(t, options, names)
    await servers[0]!.request('/')
    await servers[0]!.app.apiCache.settled()
    t.match(await servers[1]!.request('/'), { cache: 'HIT', text: 'application 1' })
    t.same(servers.flatMap(({ lines }) => complaints(lines)), [])
  })
}

t.test('the name of this package is the one that its own tests have', async (t) => {
  t.equal(applicationName(process.argv[1], process.cwd()), 'fastify-api-cache')
})

/** A folder with these files, by path. */
async function folderWith (t: Test, files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder(t)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  return folder
}

const SHOP = { 'shop/package.json': '{"name":"shop"}' }
const NAMED: Record<string, { files: Record<string, string>, script?: string, workingDirectory?: string, name: string | undefined }> = {
  'above the main script': { files: { ...SHOP, 'shop/dist/server.js': '' }, script: 'shop/dist/server.js', name: 'shop' },
  'above a main script that is named without its extension': { files: { ...SHOP, 'shop/server.js': '' }, script: 'shop/server', name: 'shop' },
  'above one that only says which modules are ESM': {
    files: { ...SHOP, 'shop/dist/package.json': '{"type":"module"}', 'shop/dist/server.js': '' }, script: 'shop/dist/server.js', name: 'shop'
  },
  'above one that is no JSON': { files: { ...SHOP, 'shop/dist/package.json': '{', 'shop/dist/server.js': '' }, script: 'shop/dist/server.js', name: 'shop' },
  'above one whose name is no text': { files: { ...SHOP, 'shop/dist/package.json': '{"name":1}', 'shop/dist/server.js': '' }, script: 'shop/dist/server.js', name: 'shop' },
  'of the working directory, where a tool runs the application': {
    files: { ...SHOP, 'shop/node_modules/tool/package.json': '{"name":"tool"}', 'shop/node_modules/tool/cli.js': '' },
    script: 'shop/node_modules/tool/cli.js',
    workingDirectory: 'shop',
    name: 'shop'
  },
  'of the working directory, where there is no script': { files: SHOP, workingDirectory: 'shop', name: 'shop' }
}

for (const [what, { files, script, workingDirectory = '.', name }] of Object.entries(NAMED)) {
  t.test(`the name of an application is that in the package.json ${what}`, async (t) => {
    const folder = await folderWith(t, { ...files, 'package.json': '{"name":"above"}' })
    t.equal(applicationName(script && join(folder, script), join(folder, workingDirectory)), name)
  })
}

t.test('a link to a tool leads to the tool', async (t) => {
  const folder = await folderWith(t, { ...SHOP, 'global/node_modules/tool/package.json': '{"name":"tool"}', 'global/node_modules/tool/cli.js': '' })
  await symlink(join(folder, 'global/node_modules/tool/cli.js'), join(folder, 'global/tool'))
  t.equal(applicationName(join(folder, 'global/tool'), join(folder, 'shop')), 'shop')
})

t.test('an application without any package.json has no name', async (t) => {
  const folder = await folderWith(t, { 'server.js': '' })
  t.equal(applicationName(join(folder, 'server.js'), folder), undefined)
})
