import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import apiCache from '../../index.js'
import { root } from '../support/packed.js'

interface Project { readonly peerDependencies: { readonly fastify: string } }

/** Of Fastify, which reads the range with it. */
const { satisfies } = createRequire(require.resolve('fastify'))('semver') as {
  satisfies (version: string, range: string): boolean
}

const { peerDependencies: { fastify: range } } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Project

t.test('the plugin and its package allow the same versions of Fastify', async (t) => {
  const { [Symbol.for('plugin-meta')]: meta } = apiCache as unknown as Record<symbol, { fastify: string }>
  t.equal(meta!.fastify, range)
})

t.test('Fastify 5 and 6 are allowed, with the pre-releases of 6, and no other', async (t) => {
  const allowed = ['5.0.0', '5.12.8', '6.0.0-alpha.4', '6.0.0-rc.1', '6.0.0', '6.3.0']
  const others = ['4.29.1', '5.0.0-alpha.4', '7.0.0-alpha.1', '7.0.0']
  t.same([...allowed, ...others].filter((version) => satisfies(version, range)), allowed)
})
