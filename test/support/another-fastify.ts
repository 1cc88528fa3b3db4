import { dirname, join, sep } from 'node:path'

type Fastify = typeof import('fastify')

const root = dirname(require.resolve('fastify'))

/**
 * Another copy of Fastify than the one that this process has loaded, with symbols of its own: those of the given
 * descriptions have other ones, as if Fastify had renamed what it keeps there.
 */
export function anotherFastify (renamed: readonly string[] = []): Fastify {
  const loaded = Object.entries(require.cache).filter(([file]) => file.startsWith(root + sep))
  const forget = (): void => {
    for (const file of Object.keys(require.cache)) if (file.startsWith(root + sep)) delete require.cache[file]
  }
  forget()
  try {
    const symbols = require(join(root, 'lib/symbols.js')) as Record<string, symbol>
    for (const [name, { description }] of Object.entries(symbols)) {
      if (renamed.includes(description!)) symbols[name] = Symbol(`renamed ${description}`)
    }
    return require(root) as Fastify
  } finally {
    forget()
    for (const [file, module] of loaded) require.cache[file] = module
  }
}
