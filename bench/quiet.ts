import { spawn, type ChildProcess } from 'node:child_process'
import { on } from 'node:events'
import { join } from 'node:path'
import { ended, killOnExit } from './children.js'
import { onCore, serverCore } from './cores.js'
import type { Outcome } from './measure.js'

/** The largest share by which the fixed program may have moved in a run that is published. */
export const quietLimit = 0.1

/** Runs of the fixed program: as many show what it takes at its least, as many what the core is like now. */
const [manyRuns, fewRuns] = [25, 3]
/** Of `manyRuns`, before anything is measured. */
const calibrations = 40
/** Milliseconds of waiting and of windows measured in vain, in all, after which each window counts as it is. */
const patience = 45 * 60_000

function mean (values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/**
 * How quiet the core of the servers is: the CPU that a fixed program takes, which runs on it for a
 * moment every few milliseconds, beside whatever is measured there. A neighbour who uses the other
 * thread of the core makes it, and all else, take up to twice as much, for a second or two.
 */
export class Quiet {
  /** Microseconds of CPU of the fixed program, in each window that counts. */
  samples: number[] = []
  readonly #program: ChildProcess
  #least = Infinity
  #repeated = 0
  /** Of `patience`. */
  #lost = 0
  #leftOut = 0
  /** Whether a group has lost most of its rounds. */
  #tooFew = false

  private constructor (program: ChildProcess) {
    this.#program = program
  }

  static async start (): Promise<Quiet> {
    const [command, args] = onCore(serverCore, process.execPath, [join(__dirname, 'fixed-program.js')])
    const program = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const { pid } = program
    if (pid !== undefined) {
      killOnExit(pid)
      program.once('exit', () => ended(pid))
    }
    const quiet = new Quiet(program)
    for (let count = 0; count < calibrations; count++) quiet.#least = Math.min(quiet.#least, await quiet.#next(manyRuns))
    return quiet
  }

  /** Waits until the core is quiet, measures, and does both again if it did not stay so. Says what the program took meanwhile. */
  async window<T> (measure: () => Promise<T>): Promise<{ measured: T, micros: number }> {
    for (;;) {
      const began = performance.now()
      const isCalm = this.accepts(await this.#next(fewRuns))
      const isHurried = this.#lost >= patience
      const window = isCalm || isHurried ? await this.#beside(measure) : undefined
      if (window !== undefined) {
        if (isHurried || this.accepts(window.micros)) {
          this.samples.push(window.micros)
          this.#least = Math.min(this.#least, window.micros)
          return window
        }
        this.#repeated++
      }
      this.#lost += performance.now() - began
    }
  }

  /** Whether the core was quiet, as far as is known by now: a quieter window may come. */
  accepts (micros: number): boolean {
    return micros <= this.#least * (1 + quietLimit)
  }

  /** What was measured, without the rounds that have a window which later, quieter ones have shown to be a busy one. */
  quietRounds (outcome: Outcome): Outcome {
    const bySubject = [...outcome.samples]
    const rounds = Math.max(0, ...bySubject.map(([, samples]) => samples.length))
    const kept = Array.from({ length: rounds }, (_, round) => round).filter((round) =>
      bySubject.every(([, { [round]: sample }]) => sample === undefined || this.accepts(sample.fixedMicros)))
    this.#leftOut += rounds - kept.length
    this.#tooFew ||= kept.length < rounds / 2
    this.samples = this.samples.filter((micros) => this.accepts(micros))
    return { ...outcome, samples: new Map(bySubject.map(([name, samples]) => [name, samples.filter((_, round) => kept.includes(round))])) }
  }

  /** To be called at the beginning, between what is measured, and at the end, where windows are too long to repeat. */
  async sample (): Promise<void> {
    this.samples.push(await this.#next(manyRuns))
  }

  /** By which share of its least it has moved. */
  get moved (): number {
    return Math.max(...this.samples) / Math.min(...this.samples) - 1
  }

  get isQuiet (): boolean {
    return this.samples.length > 1 && this.moved <= quietLimit && !this.#tooFew
  }

  /** What the fixed program took. */
  get story (): string {
    const [least, most] = [Math.min(...this.samples), Math.max(...this.samples)].map((micros) => micros.toFixed(0))
    const repeated = this.#repeated > 0 ? `; ${this.#repeated} busier ones were measured again` : ''
    const leftOut = this.#leftOut > 0 ? `, ${this.#leftOut} rounds are left out` : ''
    const tooFew = this.#tooFew ? ', most of a group' : ''
    return `${least} to ${most} µs in ${this.samples.length} windows, moved by ${(this.moved * 100).toFixed(1)} %${repeated}${leftOut}${tooFew}`
  }

  /** For the table of the environment. */
  get facts (): Record<string, string> {
    return { 'a fixed program': this.story }
  }

  stop (): void {
    this.#program.disconnect()
  }

  async #beside<T> (measure: () => Promise<T>): Promise<{ measured: T, micros: number }> {
    const runs: number[] = []
    const record = (micros: number): void => { runs.push(micros) }
    this.#program.on('message', record)
    try {
      return { measured: await measure(), micros: mean(runs) }
    } finally {
      this.#program.off('message', record)
    }
  }

  /** Microseconds that the next runs of the program take, on average. */
  async #next (count: number): Promise<number> {
    const runs: number[] = []
    for await (const [micros] of on(this.#program, 'message')) {
      runs.push(micros as number)
      if (runs.length === count) break
    }
    return mean(runs)
  }
}
