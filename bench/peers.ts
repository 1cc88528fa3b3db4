import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sources } from './paths.js'

// Beside the bench, not above it: what the bench itself imports comes from the project.
const folder = join(sources, 'peers')

/** The peers have a package.json and a lock file of their own: only who runs the bench pays for them. */
export function installPeers (): void {
  if (existsSync(join(folder, 'node_modules'))) return
  console.error('installing the peers to compare with …')
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`npm ci failed in ${folder}`)
}

interface Loader {
  load: (name: string) => Promise<unknown>
}

/** `Exports` says what of the package the subject uses. */
export async function loadPeer<Exports> (name: string): Promise<Exports> {
  const loader = await import(pathToFileURL(join(folder, 'load.mjs')).href) as Loader
  return await loader.load(name) as Exports
}
