import { createHash } from 'node:crypto'
import { itemText } from './payload.js'

/** Of one spell, about a tenth of a second. */
const repetitions = 120
const spells = 7

/** Always the same work, of the kinds that a server does: parsing, serializing, copying, hashing. */
function work (text: string): void {
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const bytes = Buffer.from(JSON.stringify(JSON.parse(text)))
    createHash('sha256').update(bytes).digest()
  }
}

function cpuMicros (run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

const text = itemText(0, 64 * 1024)
work(text)
const taken = Array.from({ length: spells }, () => cpuMicros(() => { work(text) })).sort((a, b) => a - b)
// The median: a single interruption says nothing of the minutes before and after.
console.log(taken[Math.floor(spells / 2)])
