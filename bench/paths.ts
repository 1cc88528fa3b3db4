import { join } from 'node:path'

// Compiled files run from dist/bench.
export const project = join(__dirname, '..', '..')
/** Where the files of the bench lie that are not compiled. */
export const sources = join(project, 'bench')
