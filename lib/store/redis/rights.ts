import type { MissingRights } from '../../observe/log.js'
import { isDenied } from './errors.js'
import { escapeGlob } from './glob.js'
import type { Topology } from './topology.js'

/** A command that failed. */
export interface Failed {
  /** As ACL SETUSER has it, such as `client|tracking`. */
  readonly command: string
  readonly channel?: string
  readonly error: unknown
  /** What does not work without it. */
  readonly without: string
}

type Words = readonly [command: string, ...args: Array<string | number>]

const NO_RETURN = 'the cache does not come back after an outage'
const NO_RUNS = 'each new connection to Redis makes all entries stale'
const NO_ENTRIES = 'nothing is cached'
const NO_SCRIPTS = "strict writes, writing() and coalesce: 'fleet' fail, and versions live for a year"
const NO_SWEEPS = 'what writes made stale stays until it expires, and keys(), namespaces() and clear() fail'
const SLOW_SWEEPS = 'sweeps delete with DEL, which holds Redis up longer'

/** Changes nothing: the keys do not exist, and XX creates none. `without`: what does not work if it is refused. */
const trials = (entry: string, bookkeeping: string, isCluster: boolean): Array<[words: Words, without: string]> => [
  [isCluster ? ['exists', bookkeeping] : ['ping'], NO_RETURN],
  [['info'], NO_RUNS],
  [['get', entry], NO_ENTRIES],
  [['mget', bookkeeping], NO_ENTRIES],
  [['set', bookkeeping, '', 'PX', 1, 'XX'], NO_ENTRIES],
  [['eval', 'return 1', 1, bookkeeping], NO_SCRIPTS],
  [['time'], NO_SCRIPTS],
  [['pttl', bookkeeping], NO_SCRIPTS],
  [['expire', bookkeeping, 1], NO_SCRIPTS],
  [['del', bookkeeping], NO_SCRIPTS],
  [['scan', 0, 'COUNT', 1], NO_SWEEPS],
  [['getrange', entry, 0, 0], NO_SWEEPS],
  [['unlink', entry], SLOW_SWEEPS]
]

/** Finds out what the Redis user of a store may not do. */
export class Rights {
  readonly #topology: Topology
  readonly #prefix: string
  readonly #report: (missing: MissingRights) => void
  readonly #ready = (): void => { this.#try().then(() => { this.stop() }, () => {}) }

  /**
   * @param prefix the first part of every key, without the client's keyPrefix
   * @param report called for commands that were refused
   */
  constructor (topology: Topology, prefix: string, report: (missing: MissingRights) => void) {
    this.#topology = topology
    this.#prefix = prefix
    this.#report = report
  }

  /** Tries each command once, as soon as the client is connected. */
  check (): void {
    const { client } = this.#topology
    client.on('ready', this.#ready)
    if (client.status === 'ready') this.#ready()
  }

  stop (): void {
    this.#topology.client.off('ready', this.#ready)
  }

  /** Reports those of the failed commands that were refused. */
  report (failed: readonly Failed[]): void {
    const refused = failed.filter(({ error }) => isDenied(error))
    if (refused.length === 0) return
    const rules = new Set(refused.flatMap((one) => this.#rulesFor(one)))
    this.#report({
      grant: rules.size === 0 ? undefined : ['ACL SETUSER', this.#topology.user, ...rules].join(' '),
      unknown: refused.filter(isUnknown).map(({ command }) => command),
      without: [...new Set(refused.map(({ without }) => without))]
    })
  }

  /** @throws if the connection is lost meanwhile */
  async #try (): Promise<void> {
    const { client } = this.#topology
    const words = trials(`${this.#prefix}|rights`, `${this.#prefix}!rights`, client.isCluster)
    const failed: Failed[] = []
    await Promise.all(words.map(async ([[command, ...args], without]) => {
      await client.call(command, ...args).catch((error: unknown) => { failed.push({ command, error, without }) })
    }))
    if (client.status !== 'ready') throw new Error('the connection to Redis was lost')
    this.report(failed)
  }

  /** The rules of ACL SETUSER that allow it. */
  #rulesFor (refused: Failed): string[] {
    const { command, channel, error } = refused
    if (isUnknown(refused)) return []
    const { message } = error as Error
    // Redis says which command is refused, but not which key or channel.
    if (/'[^']+' command/.test(message)) return [`+${command}`]
    if (channel !== undefined && message.includes('channel')) return [`&${escapeGlob(channel)}`]
    const beginning = escapeGlob(this.#topology.keyPrefix + this.#prefix)
    return [`~${beginning}|*`, `~${beginning}!*`]
  }
}

const isUnknown = ({ error }: Failed): boolean => !(error as Error).message.startsWith('NOPERM')
