import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onCore, serverCore } from './cores.js'

/** The largest share by which the fixed program may have moved in a run that is published. */
export const quietLimit = 0.1

const run = promisify(execFile)

/** How quiet the machine is during a run: the CPU that a fixed program takes, again and again. */
export class Quiet {
  /** Milliseconds of CPU, in order. */
  readonly samples: number[] = []

  /** To be called at the beginning, between what is measured, and at the end. */
  async sample (): Promise<void> {
    const { stdout } = await run(...onCore(serverCore, process.execPath, [join(__dirname, 'fixed-program.js')]))
    this.samples.push(Number(stdout) / 1000)
  }

  /** By which share of its least it has moved. */
  get moved (): number {
    return Math.max(...this.samples) / Math.min(...this.samples) - 1
  }

  get isQuiet (): boolean {
    return this.samples.length > 1 && this.moved <= quietLimit
  }

  /** For the table of the environment. */
  get facts (): Record<string, string> {
    const samples = this.samples.map((sample) => sample.toFixed(0)).join(', ')
    return { 'a fixed program': `${samples} ms, moved by ${(this.moved * 100).toFixed(1)} %` }
  }
}
