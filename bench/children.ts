import { constants } from 'node:os'

const pids = new Set<number>()

/** Nothing that the bench started outlives it, whatever ends it. */
export function killOnExit (pid: number): void {
  pids.add(pid)
}

export function ended (pid: number): void {
  pids.delete(pid)
}

process.on('exit', () => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it had ended by itself
    }
  }
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}
