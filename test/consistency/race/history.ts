/** A call that one of the driver's clients made, by the driver's clock. */
export interface Call {
  readonly register: string
  readonly kind: 'read' | 'write'
  readonly path: string
  readonly start: number
  readonly end: number
  /** What was read, or what the counter was after the write; undefined when no answer came. */
  readonly value: number | undefined
  readonly cache?: string
}

/** A read that returned less than the last write which was acknowledged before the read began. */
export interface StaleRead {
  readonly read: Call
  readonly write: Call
}

/** All stale reads of a history. */
export function staleReads (history: readonly Call[]): StaleRead[] {
  const stale: StaleRead[] = []
  for (const calls of byRegister(history)) {
    const writes = calls.filter(({ kind, value }) => kind === 'write' && value !== undefined).sort((a, b) => a.end - b.end)
    const reads = calls.filter(({ kind, value }) => kind === 'read' && value !== undefined).sort((a, b) => a.start - b.start)
    let acknowledged = 0
    let latest: Call | undefined
    for (const read of reads) {
      for (let write = writes[acknowledged]; write !== undefined && write.end < read.start; write = writes[++acknowledged]) {
        if (latest === undefined || write.value! > latest.value!) latest = write
      }
      if (latest !== undefined && read.value! < latest.value!) stale.push({ read, write: latest })
    }
  }
  return stale
}

function byRegister (history: readonly Call[]): Iterable<Call[]> {
  const registers = new Map<string, Call[]>()
  for (const call of history) {
    const calls = registers.get(call.register)
    if (calls === undefined) registers.set(call.register, [call])
    else calls.push(call)
  }
  return registers.values()
}
