import { createHash } from 'node:crypto'
import { itemText } from './payload.js'

/** Milliseconds between two runs, of which each takes about a tenth of one: 1 % of the core. */
const interval = 20

const text = itemText(0, 8 * 1024)

/** Always the same work, of the kinds that a server does: parsing, serializing, copying, hashing. */
function work (): void {
  const bytes = Buffer.from(JSON.stringify(JSON.parse(text)))
  createHash('sha256').update(bytes).digest()
}

function cpuMicros (): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** The CPU that one run takes, in microseconds. */
function run (): number {
  // The first brings back to the processor's caches what others have displaced.
  work()
  const before = cpuMicros()
  work()
  return cpuMicros() - before
}

for (let warmup = 0; warmup < 5_000; warmup++) run()
setInterval(() => process.send?.(run()), interval)
process.once('disconnect', () => process.exit())
