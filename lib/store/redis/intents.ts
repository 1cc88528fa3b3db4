import type { Intents } from '../contract.js'
import { expectInteger } from './replies.js'
import { BEGIN_INTENT, END_INTENT } from './scripts.js'
import type { Topology } from './topology.js'
import { VERSION_SECONDS } from './versions.js'
import type { Watch } from './writes.js'

/** Holds versions for strict writes; see the scripts for the format. */
export class RedisIntents implements Intents {
  readonly #topology: Topology
  readonly #watch: Watch

  constructor (topology: Topology, watch: Watch) {
    this.#topology = topology
    this.#watch = watch
  }

  async begin (names: readonly string[], writer: string, milliseconds: number): Promise<void> {
    await Promise.all(names.map((name) => this.#run(name, BEGIN_INTENT, [writer, milliseconds])))
  }

  async end (names: readonly string[], writer: string, fresh: string, written: boolean): Promise<void> {
    const runs = await this.#topology.runsOf(names)
    await Promise.all(names.map((name, index) =>
      this.#run(name, END_INTENT, [writer, fresh, runs[index]!.mark, VERSION_SECONDS, written ? '1' : '0'])))
  }

  async #run (name: string, script: string, args: Array<string | number>): Promise<void> {
    expectInteger('EVAL', await this.#watch(name, this.#topology.client.eval(script, 1, name, ...args)), 1)
  }
}
