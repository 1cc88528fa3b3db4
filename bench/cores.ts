import { execFileSync, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

function allowedCores (): number[] {
  const printed = spawnSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' })
  if (printed.status !== 0) return []
  const list = printed.stdout.slice(printed.stdout.lastIndexOf(':') + 1).trim()
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number)
    if (first === undefined) return []
    return Array.from({ length: (last ?? first) - first + 1 }, (_, index) => first + index)
  })
}

const cores = allowedCores()

/** The server has a core to itself; everything else shares another. */
export const serverCore = cores.length > 1 ? cores.at(-1) : undefined
export const loadCore = cores.length > 1 ? cores[0] : undefined

export const pinning = serverCore !== undefined
  ? `server on core ${serverCore}, load and Redis on core ${loadCore}`
  : `not pinned: ${cores.length === 0 ? 'taskset is not there' : 'one core only'} (${availableParallelism()} available)`

export function onCore (core: number | undefined, command: string, args: string[]): [string, string[]] {
  return core === undefined ? [command, args] : ['taskset', ['-c', String(core), command, ...args]]
}

/** Moves a running process, all its threads included. */
export function moveToCore (core: number | undefined, pid: number): void {
  if (core !== undefined) execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' })
}
