import { once } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import { UnsafeRedisError } from '../errors.js'
import { ONE_YEAR_IN_SECONDS } from '../durations.js'
import { Deadlines } from './deadlines.js'
import type { Entry } from './entry.js'
import { decodeEntry, decodeVersions, encodeEntry, headEnd } from './frame.js'
import { HELD, HOLD, LET_GO, MAX_VERSION_BYTES, MOVE, RELEASE } from './scripts.js'
import { adopt, believes, RunsOfCluster, runOfServer, type ServerRun, type ServerRuns } from './server-run.js'
import { CLOSED, type CacheStore, type Lookup } from './store.js'

export type RedisClient = Redis | Cluster

/** No entry outlives a year, so neither needs a version: what nobody reads again goes by itself. */
const VERSION_SECONDS = ONE_YEAR_IN_SECONDS
const SCAN_COUNT = 1000
/** Entries that a sweep looks at together: those that wait behind it are answered in between. */
const SWEEP_BATCH = 100
/** Of a frame's beginning, what is read first to learn its versions: nearly always all of them. */
const BEGINNING_BYTES = 512
/** Longest wait for one answer to work that no request waits for. */
const PATIENCE = 10_000
/** Pings without an answer after which a connection of the plugin's own is opened anew. */
const MAX_UNANSWERED = 3

/** Keeps entries and versions in Redis, standalone or Cluster, for every process. */
export class RedisStore implements CacheStore {
  readonly name = 'redis'
  readonly #client: RedisClient
  readonly #keyPrefix: string
  readonly #owned: boolean
  readonly #runs: ServerRuns
  readonly #patience = new Deadlines(PATIENCE)
  /** On a Cluster the last key asked for at each master, so that a ping reaches all that are in use. */
  readonly #asked = new Map<string, string>()
  #ping: Promise<unknown> | undefined
  #unanswered = 0
  #unlinks = true
  #closed = false

  /**
   * @param owned the plugin opened the connection, and closes it
   * @throws UnsafeRedisError when the client reads from replicas, which lag behind an invalidation
   */
  constructor (client: RedisClient, owned: boolean) {
    if (client.isCluster && (client as Cluster).options.scaleReads !== 'master') {
      throw new UnsafeRedisError("a Cluster client with scaleReads other than 'master' reads from replicas that do not know of an invalidation yet; give the plugin a client of its own")
    }
    this.#client = client
    this.#keyPrefix = client.options.keyPrefix ?? ''
    this.#owned = owned
    this.#runs = client.isCluster ? new RunsOfCluster(client as Cluster) : runOfServer(client as Redis)
  }
}
