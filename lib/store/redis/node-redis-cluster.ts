import { EventEmitter, once } from 'node:events'
import type { Argument, ClusterClient, ServerClient, Subscriber } from './client.js'
import { encoded, NodeRedisClient, NodeRedisCommands, type NodeRedis } from './node-redis.js'

/** Least time in milliseconds between two searches for other masters. */
const SEARCH_INTERVAL = 1_000

interface Node {
  readonly address: string
  readonly host: string
  readonly port: number
  /** Undefined until it is used for the first time, with `minimizeConnections`. */
  readonly client?: unknown
}

type MessageListener = (message: string | Buffer, channel: string | Buffer) => void

/** What this file uses of a cluster of node-redis 5. */
export interface NodeRedisCluster {
  readonly isOpen: boolean
  /** Another array each time that the cluster has been discovered. */
  readonly masters: readonly Node[]
  readonly slots: ReadonlyArray<{ readonly master: Node } | undefined>
  /** Not documented. Without it other masters are found only when a server sends the cluster there. */
  readonly _slots?: object
  nodeClient(node: Node): Promise<unknown>
  connect(): Promise<unknown>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  sendCommand(
    key: string | undefined, isReadonly: boolean | undefined, args: Array<string | Buffer>, options?: object
  ): Promise<unknown>
  subscribe(channel: string, listener: MessageListener): Promise<unknown>
  unsubscribe(channel: string, listener: MessageListener): Promise<unknown>
}

const adapted = new WeakMap<NodeRedisCluster, NodeRedisClusterClient>()

/**
 * A cluster of node-redis with the interface of the store. It is the application's own, so it is not
 * closed here.
 */
export class NodeRedisClusterClient extends NodeRedisCommands implements ClusterClient {
  readonly isCluster = true
  /** `send` never asks a replica, whatever `useReplicas` says. */
  readonly options = { scaleReads: 'master' }
  readonly #cluster: NodeRedisCluster
  readonly #adapted = new WeakMap<object, NodeRedisClient>()
  #masters: readonly Node[] = []
  #slots: string[][] = []
  #nodes: ReadonlySet<NodeRedisClient> = new Set()
  #searchedAt = -Infinity

  private constructor (cluster: NodeRedisCluster) {
    super()
    this.#cluster = cluster
    cluster.on('connect', () => { this.emit('ready') })
    for (const event of ['node-ready', 'node-disconnect']) cluster.on(event, () => { this.#look() })
    cluster.on('node-error', this.#search)
    // Without a listener the error of a search that failed would end the process.
    cluster.on('error', () => {})
  }

  /** The same for each store, however many have the cluster in common. */
  static of (cluster: NodeRedisCluster): NodeRedisClusterClient {
    const client = adapted.get(cluster) ?? new NodeRedisClusterClient(cluster)
    adapted.set(cluster, client)
    return client
  }

  get status (): string {
    if (!this.#cluster.isOpen) return 'wait'
    return this.#cluster.masters.length > 0 ? 'ready' : 'connecting'
  }

  get slots (): ReadonlyArray<readonly string[]> {
    this.#look()
    return this.#slots
  }

  nodes (): readonly ServerClient[] {
    this.#look()
    return [...this.#nodes]
  }

  connect (): Promise<unknown> {
    return this.#cluster.connect()
  }

  disconnect (): void {}

  duplicate (): Subscriber {
    return new ClusterSubscriber(this.#cluster, this.status === 'ready' ? Promise.resolve() : once(this, 'ready'))
  }

  /** This is the ping of a Cluster: while a master is silent, another is looked for. */
  override async exists (key: string): Promise<unknown> {
    const searches = setInterval(this.#search, SEARCH_INTERVAL).unref()
    try {
      return await super.exists(key)
    } finally {
      clearInterval(searches)
    }
  }

  protected send (key: string | undefined, args: Argument[], options: object): Promise<unknown> {
    return this.#cluster.sendCommand(key, false, args.map(encoded), options)
  }

  /** Follows the cluster, which does not tell when it has discovered other masters. */
  #look (): void {
    if (this.#cluster.masters === this.#masters) return
    this.#masters = this.#cluster.masters
    const before = this.#nodes
    const nodes = new Set<NodeRedisClient>()
    for (const node of this.#masters) {
      // Connects to it, if it has not been used yet.
      if (node.client === undefined) this.#cluster.nodeClient(node).then(() => { this.#lookAgain() }, () => {})
      else nodes.add(this.#adapt(node))
    }
    this.#nodes = nodes
    this.#slots = this.#cluster.slots.map((slot) => slot === undefined ? [] : [slot.master.address])
    for (const node of before) if (!nodes.has(node)) this.emit('-node', node)
    for (const node of nodes) if (!before.has(node)) this.emit('+node', node)
    this.emit('refresh')
  }

  #lookAgain (): void {
    this.#masters = []
    this.#look()
  }

  #adapt (node: Node): NodeRedisClient {
    const client = node.client as NodeRedis
    const adapter = this.#adapted.get(client) ?? new NodeRedisClient(client, undefined, node)
    this.#adapted.set(client, adapter)
    return adapter
  }

  /** node-redis looks for other masters only when a server sends it there, which one that is lost cannot do. */
  readonly #search = (): void => {
    const now = performance.now()
    if (now - this.#searchedAt < SEARCH_INTERVAL / 2) return
    this.#searchedAt = now
    const slots = this.#cluster._slots as { rediscover?: (client: unknown) => Promise<unknown> } | undefined
    // A search waits for the server that it begins with, so that has to be one that answers.
    const answers = this.#masters.map(async ({ client }) => {
      await (client as NodeRedis).sendCommand(['PING'])
      return client
    })
    Promise.any(answers).then((client) => slots?.rediscover?.(client)).then(() => { this.#look() }, () => {})
  }
}

/** The cluster's own connection for subscriptions. It moves them to another server when its own is lost. */
class ClusterSubscriber extends EventEmitter implements Subscriber {
  readonly #cluster: NodeRedisCluster
  readonly #connected: Promise<unknown>
  #channel: string | undefined
  readonly #listener: MessageListener = (message, channel) => { this.emit('message', channel, message) }

  constructor (cluster: NodeRedisCluster, connected: Promise<unknown>) {
    super()
    this.#cluster = cluster
    this.#connected = connected
  }

  async subscribe (channel: string): Promise<unknown> {
    this.#channel = channel
    await this.#connected
    return await this.#cluster.subscribe(channel, this.#listener)
  }

  disconnect (): void {
    if (this.#channel !== undefined) this.#cluster.unsubscribe(this.#channel, this.#listener).catch(() => {})
  }
}
