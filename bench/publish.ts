import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { project } from './paths.js'
import { lastingLine } from './progress.js'
import { quietLimit, type Quiet } from './quiet.js'

/** Where published results are. */
export const published = join(project, 'docs', 'bench')

/** Writes results, by name of the file. What a busy machine measured is only written elsewhere than in the docs. */
export function publish (files: Readonly<Record<string, string>>, folder: string, quiet: Quiet): void {
  const out = resolve(folder)
  if (out === published && !quiet.isQuiet) {
    lastingLine(`not published: the machine was not quiet (limit ${quietLimit * 100} %): a fixed program took ${quiet.story}; --out writes the results elsewhere`)
    return
  }
  mkdirSync(out, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(out, name), text)
}
