import { readFileSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

/**
 * The name of an application: that in the nearest package.json with a name, from its main script
 * upward. A main script in node_modules is a tool that runs the application; then it is sought from
 * the working directory. Undefined if there is none.
 */
export function applicationName (script: string | undefined, workingDirectory: string): string | undefined {
  const main = script === undefined ? undefined : realPath(script)
  const isTool = main === undefined || main.split(sep).includes('node_modules')
  let folder = isTool ? workingDirectory : dirname(main)
  for (;;) {
    const name = nameIn(join(folder, 'package.json'))
    if (name !== undefined) return name
    const above = dirname(folder)
    if (above === folder) return undefined
    folder = above
  }
}

/** Where symbolic links lead, as those in node_modules/.bin; a script may be named without its extension. */
function realPath (path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function nameIn (file: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }
    return typeof name === 'string' && name !== '' ? name : undefined
  } catch {
    return undefined
  }
}
