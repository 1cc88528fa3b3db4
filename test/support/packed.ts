import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The checkout's top, seen from dist/test/support. */
export const root = join(__dirname, '../../..')

/** What `npm publish` would send, written into this folder. */
export async function pack (directory: string): Promise<string> {
  const { stdout } = await run('npm', [
    'pack', '--ignore-scripts', '--silent', '--pack-destination', directory
  ], { cwd: root })
  return join(directory, stdout.trim())
}

export async function extract (tarball: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', directory, '--strip-components', '1'])
}

/**
 * A node_modules with the packed package, what it declares and nothing else, so
 * that an import which package.json doesn't declare is found out. The folder has
 * to be outside the checkout.
 */
export async function install (tarball: string, directory: string): Promise<void> {
  const modules = join(directory, 'node_modules')
  await extract(tarball, join(modules, 'fastify-api-cache'))
  const { dependencies, peerDependencies } = JSON.parse(
    await readFile(join(modules, 'fastify-api-cache', 'package.json'), 'utf8')
  ) as { dependencies: Record<string, string>, peerDependencies: Record<string, string> }

  // @types/node is what Fastify's own types ask of every user.
  for (const name of [...Object.keys(dependencies), ...Object.keys(peerDependencies), '@types/node']) {
    const link = join(modules, name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
}
