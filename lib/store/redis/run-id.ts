import { randomBytes } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import calculateSlot from 'cluster-key-slot'
import { isReply } from './errors.js'
import { asInfo } from './replies.js'

/** What a version written during a run ends in: a dot and the beginning of the server's run id. */
const MARK_DIGITS = 12
/** Versions adopted from elsewhere that are remembered; forgetting them costs MISSes only. */
const MAX_ADOPTED = 100_000

/**
 * One run of one server process, from start to end. Within it nothing that the server has
 * confirmed is forgotten, so a version that was written during the run is the latest one. After
 * a failover or a restart from disk answers come from another run, and a version that is older
 * than that may be one that had been replaced already.
 */
export interface ServerRun {
  readonly mark: string
  /** Nobody may know the run: what is met first has to be believed. */
  readonly believesAll: boolean
  /** Versions that another mark is on, though they were written during the run: this process replaced them before. */
  readonly adopted: Set<string>
}

/** Whether the latest version under the key is the one that ends in this mark. */
export function believes (run: ServerRun, key: string, mark: string): boolean {
  return mark === run.mark || run.believesAll || run.adopted.has(key)
}

export function adopt (run: ServerRun, key: string): void {
  if (run.adopted.size >= MAX_ADOPTED) run.adopted.clear()
  run.adopted.add(key)
}

/** The run at the other end of one connection, learned anew whenever the connection is. */
class Connection {
  readonly #redis: Redis
  readonly #refusesReplica: boolean
  #run: ServerRun | undefined
  #last: ServerRun | undefined
  #learning: Promise<ServerRun> | undefined
  readonly #ready = (): void => { this.learn().catch(() => {}) }
  readonly #close = (): void => { this.forget() }

  constructor (redis: Redis, refusesReplica: boolean) {
    this.#redis = redis
    this.#refusesReplica = refusesReplica
    redis.on('ready', this.#ready).on('close', this.#close)
    if (redis.status === 'ready') this.#ready()
  }

  get run (): ServerRun | undefined {
    return this.#run
  }

  learn (): Promise<ServerRun> {
    if (this.#run !== undefined) return Promise.resolve(this.#run)
    if (this.#learning !== undefined) return this.#learning
    const learning = this.#ask().then((run) => {
      if (this.#learning !== learning) throw new Error('the connection to Redis was lost')
      this.#run = this.#last = run
      return run
    }).finally(() => {
      if (this.#learning === learning) this.#learning = undefined
    })
    this.#learning = learning
    return learning
  }

  forget (): void {
    this.#run = undefined
    this.#learning = undefined
  }

  stop (): void {
    this.#redis.off('ready', this.#ready).off('close', this.#close)
    this.forget()
  }

  async #ask (): Promise<ServerRun> {
    let info: string
    try {
      info = asInfo(await this.#redis.info())
    } catch (error) {
      if (!isReply(error, 'NOPERM')) throw error
      info = ''
    }
    if (this.#refusesReplica && /^role:slave\b/m.test(info)) throw new Error('Redis is a replica, which lags behind its master')
    const id = /^run_id:(\w+)/m.exec(info)?.[1]
    if (id === undefined) return this.#unknown()
    const mark = `.${id.slice(0, MARK_DIGITS)}`
    return this.#last?.mark === mark ? this.#last : { mark, believesAll: false, adopted: new Set() }
  }

  /** Without INFO each connection after the first counts as one to another run. */
  #unknown (): ServerRun {
    const digits = randomBytes(MARK_DIGITS / 2).toString('hex')
    return { mark: `.${digits}`, believesAll: this.#last === undefined && this.#refusesReplica, adopted: new Set() }
  }
}

/** Knows which run answers for a key. */
export interface ServerRuns {
  /** Whether asking is of any use. */
  readonly known: boolean
  /** Learns what there is to learn before the first question. */
  open(): Promise<unknown>
  /** Undefined until it is known. */
  of(key: string): ServerRun | undefined
  /** @throws when the server cannot be asked, or is not one to rely on */
  learn(key: string): Promise<ServerRun>
  /** What was known of the key's server may hold no longer. */
  forget(key: string): void
  /** Takes back all listeners. */
  stop(): void
}

/** A single server, whichever it is at present: behind an address or a Sentinel's name it may be replaced. */
export function runOfServer (redis: Redis): ServerRuns {
  const connection = new Connection(redis, true)
  return {
    get known () { return connection.run !== undefined },
    open: () => connection.learn(),
    of: () => connection.run,
    learn: () => connection.learn(),
    forget: () => { connection.forget() },
    stop: () => { connection.stop() }
  }
}

/** The masters of a Cluster: a key's server is whichever its slot is at when the answer is there. */
export class RunsOfCluster implements ServerRuns {
  /** Each of its servers is asked when it is met. */
  readonly known = true
  readonly #cluster: Cluster
  readonly #keyPrefix: string
  readonly #connections = new Map<Redis, Connection>()
  readonly #byName = new Map<string, Connection>()
  readonly #added = (redis: Redis): void => { this.#add(redis) }
  readonly #removed = (redis: Redis): void => { this.#remove(redis) }

  constructor (cluster: Cluster) {
    this.#cluster = cluster
    this.#keyPrefix = cluster.options.keyPrefix ?? ''
    cluster.on('+node', this.#added).on('-node', this.#removed)
    for (const redis of cluster.nodes()) this.#add(redis)
  }

  async open (): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.learn()))
  }

  of (key: string): ServerRun | undefined {
    return this.#connection(key)?.run
  }

  async learn (key: string): Promise<ServerRun> {
    const connection = this.#connection(key)
    if (connection === undefined) throw new Error('no node of the Cluster is known to have this key')
    return await connection.learn()
  }

  forget (key: string): void {
    this.#connection(key)?.forget()
  }

  stop (): void {
    this.#cluster.off('+node', this.#added).off('-node', this.#removed)
    for (const redis of [...this.#connections.keys()]) this.#remove(redis)
  }

  #connection (key: string): Connection | undefined {
    const name = this.#cluster.slots[calculateSlot(this.#keyPrefix + key)]?.[0]
    return name === undefined ? undefined : this.#byName.get(name)
  }

  #add (redis: Redis): void {
    if (this.#connections.has(redis)) return
    const connection = new Connection(redis, false)
    this.#connections.set(redis, connection)
    this.#byName.set(nameOf(redis), connection)
  }

  #remove (redis: Redis): void {
    const connection = this.#connections.get(redis)
    if (connection === undefined) return
    connection.stop()
    this.#connections.delete(redis)
    // Its successor under the same name may be there already.
    if (this.#byName.get(nameOf(redis)) === connection) this.#byName.delete(nameOf(redis))
  }
}

const nameOf = (redis: Redis): string => `${redis.options.host}:${redis.options.port}`
