import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { root } from '../support/packed.js'

type Graph = ReadonlyMap<string, readonly string[]>

/** The modules that a source file names, in whatever form: types only, too. */
function modulesIn (source: string): string[] {
  const modules: string[] = []
  const visit = (node: ts.Node): void => {
    const module = moduleNamedBy(node)
    if (module !== undefined && ts.isStringLiteralLike(module)) modules.push(module.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest))
  return modules
}

function moduleNamedBy (node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isExternalModuleReference(node)) return node.expression
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
  const isImportCall = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
  return isImportCall ? node.arguments[0] : undefined
}

/** Each source file with the files that it imports. */
function importsOf (sources: ReadonlyMap<string, string>): Graph {
  return new Map([...sources].map(([file, source]) => {
    const imported = modulesIn(source)
      .filter((module) => module.startsWith('.'))
      .map((module) => join(dirname(file), module).replace(/\.js$/, '.ts'))
    return [file, imported.filter((other) => sources.has(other))]
  }))
}

/** The circles that a depth-first walk meets: none only where there is none. */
function circlesIn (imports: Graph): string[] {
  const circles: string[] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at !== -1) circles.push([...path.slice(at), file].join(' → '))
    if (at !== -1 || done.has(file)) return
    for (const imported of imports.get(file) ?? []) walk(imported, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) walk(file, [])
  return circles
}

t.test('no file of the library imports itself through others, not even for a type', async (t) => {
  const files = (await readdir(join(root, 'lib'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  const sources = new Map<string, string>()
  for (const file of ['index.ts', ...files]) sources.set(file, await readFile(join(root, file), 'utf8'))

  const circles = circlesIn(importsOf(sources))

  for (const circle of circles) t.fail(`circle: ${circle}`)
  t.same(circles, [])
})

for (const form of [
  "import { a } from './a.js'",
  "import './a.js'",
  "import type { A } from './a.js'",
  "import { type A } from './a.js'",
  "import a = require('./a.js')",
  "export * from './a.js'",
  "export type { A } from './a.js'",
  "type A = import('./a.js').A",
  "const a = await import('./a.js')"
]) {
  t.test(`a circle is found if it is closed by: ${form}`, async (t) => {
    const sources = new Map([
      ['lib/a.ts', "import { b } from './folder/b.js'"],
      ['lib/folder/b.ts', "import { c } from '../c.js'"],
      ['lib/c.ts', form]
    ])

    t.same(circlesIn(importsOf(sources)), ['lib/a.ts → lib/folder/b.ts → lib/c.ts → lib/a.ts'])
  })
}

t.test('a file that several others import is no circle', async (t) => {
  const sources = new Map([
    ['lib/a.ts', "import { b } from './b.js'\nimport { c } from './c.js'"],
    ['lib/b.ts', "import { c } from './c.js'"],
    ['lib/c.ts', '']
  ])

  t.same(circlesIn(importsOf(sources)), [])
})
