// Debian has some newer packages in its backports only. The machine's own sources stay as they are:
// this is a list of sources for single commands.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The options of apt-get with which it also knows the backports of this Debian; none on another system. */
export function withBackports () {
  const mirrors = [
    'indextargets', '--format', '$(CODENAME) $(REPO_URI)', 'Created-By: Packages', 'Origin: Debian', 'Component: main'
  ]
  const { stdout } = spawnSync('apt-get', mirrors, { encoding: 'utf8' })
  const [, codename, uri] = /^([a-z]+) (\S+)$/m.exec(stdout) ?? []
  if (uri === undefined) return []
  const folder = mkdtempSync(join(tmpdir(), 'fastify-api-cache-sources-'))
  process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })
  const list = join(folder, 'sources.list')
  // It takes the place of this file, not of the folder of sources beside it.
  const own = existsSync('/etc/apt/sources.list') ? readFileSync('/etc/apt/sources.list', 'utf8') : ''
  writeFileSync(list, `${own}\ndeb ${uri} ${codename}-backports main\n`)
  return ['--option', `Dir::Etc::sourcelist=${list}`]
}
