import type { Intents } from '../contract.js'
import { expectInteger } from './replies.js'
import { inParts, runAlsoIfFull, type RunScript } from './run-script.js'
import { BEGIN_INTENT, END_INTENT } from './scripts.js'
import type { Topology } from './topology.js'
import { UNUSED_SECONDS, VERSION_SECONDS } from './versions.js'
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
    await this.#run(names, (keys) => runAlsoIfFull(this.#topology.client, BEGIN_INTENT, keys,
      [writer, milliseconds, UNUSED_SECONDS]))
  }

  async end (names: readonly string[], writer: string, fresh: string, written: boolean): Promise<void> {
    await this.#run(names, (keys, { mark }) => runAlsoIfFull(this.#topology.client, END_INTENT, keys,
      [writer, fresh, mark, written ? '1' : '0', VERSION_SECONDS, UNUSED_SECONDS]))
  }

  async #run (names: readonly string[], run: RunScript): Promise<void> {
    await inParts(this.#topology, names, async (keys, server) => {
      expectInteger('EVAL', await this.#watch(keys[0]!, run(keys, server)), keys.length)
    })
  }
}
