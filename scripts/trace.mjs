// Prints every function of lib/ that one request enters, in order: how naturally a request flows.
//
//   npm run trace              a HIT and a MISS on the memory store
//   npm run trace -- redis     the same on a Redis of its own
//   npm run trace -- -v        with the functions
//
// It runs a copy of the build in which each function reports when it is entered.
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const project = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(project, 'dist')
const copy = join(built, 'trace')
const verbose = process.argv.includes('-v')
const redis = process.argv.includes('redis')

/** The JavaScript of one file, in which each function with a name, its own or that of its place, reports when it is entered. */
function instrumented (file, source) {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ES2022, true)
  const insertions = []
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body !== undefined) {
      const entered = `globalThis.entered?.(${JSON.stringify(file)}, ${JSON.stringify(nameOf(node))})`
      if (ts.isBlock(node.body)) insertions.push([node.body.getStart() + 1, ` ${entered};`])
      else insertions.push([node.body.getStart(), `(${entered}, `], [node.body.getEnd(), ')'])
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  let text = source
  for (const [at, inserted] of insertions.sort(([a], [b]) => b - a)) text = text.slice(0, at) + inserted + text.slice(at)
  return text
}

function nameOf (node) {
  if (node.name !== undefined) return node.name.getText()
  if (ts.isConstructorDeclaration(node)) return `new ${node.parent.name?.getText() ?? 'class'}`
  const { parent } = node
  if ((ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)) && parent.name) {
    return parent.name.getText()
  }
  return '(anonymous)'
}

function * filesIn (folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield * filesIn(path)
    else if (path.endsWith('.js')) yield path
  }
}

function instrument () {
  rmSync(copy, { recursive: true, force: true })
  cpSync(join(built, 'lib'), join(copy, 'lib'), { recursive: true })
  cpSync(join(built, 'index.js'), join(copy, 'index.js'))
  for (const path of filesIn(join(copy, 'lib'))) {
    const file = relative(join(copy, 'lib'), path).replace(/\.js$/, '.ts')
    writeFileSync(path, instrumented(file, readFileSync(path, 'utf8')))
  }
}

// What no response waits for belongs to a request, too.
const settled = () => new Promise((resolve) => { setTimeout(resolve, 30) })

async function traced (what, request) {
  const steps = []
  globalThis.entered = (file, name) => { steps.push({ file, name }) }
  await request()
  await settled()
  globalThis.entered = undefined
  const jumps = steps.filter(({ file }, index) => index > 0 && steps[index - 1].file !== file).length
  const files = new Set(steps.map(({ file }) => file))
  console.log(`${what}: ${files.size} files, ${jumps} jumps between them, ${steps.length} functions`)
  if (!verbose) return
  let last
  for (const { file, name } of steps) {
    console.log(file === last ? `    ${' '.repeat(file.length)} ${name}` : `    ${file} ${name}`)
    last = file
  }
}

instrument()
const require = createRequire(import.meta.url)
const Fastify = require('fastify')
const apiCache = require(join(copy, 'index.js'))
const server = redis ? await require(join(built, 'test/support/redis-server.js')).startRedis() : undefined
const app = Fastify()
try {
  await app.register(apiCache, server === undefined ? { store: 'memory' } : { redis: server.url })
  const config = { cache: { namespace: 'users', expire: 60 } }
  app.get('/users/:id', { config }, async ({ params }) => ({ id: params.id }))
  app.put('/users/:id', { config: { cache: { invalidate: 'users' } } }, async () => ({ done: true }))
  // Over a socket, and not the first: what is done once belongs to no request.
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const ask = async (path, init) => { await (await fetch(origin + path, init)).arrayBuffer() }
  await ask('/users/1')
  await settled()
  await ask('/users/1')
  const store = redis ? 'Redis' : 'memory'
  await traced(`a HIT on ${store}`, () => ask('/users/1'))
  await traced(`a MISS on ${store}`, () => ask('/users/2'))
  await traced(`a write on ${store}`, () => ask('/users/2', { method: 'PUT' }))
} finally {
  await app.close()
  await server?.stop()
  rmSync(copy, { recursive: true, force: true })
}
