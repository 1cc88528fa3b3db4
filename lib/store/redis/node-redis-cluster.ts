import type { Argument, ClusterClient, ServerClient } from './client.js'
import { encoded, NodeRedisClient, NodeRedisCommands, type NodeRedis } from './node-redis.js'

interface Node {
  readonly address: string
  /** Undefined until it is used for the first time, with `minimizeConnections`. */
  readonly client?: unknown
}

/** What this file uses of a cluster of node-redis 5. */
export interface NodeRedisCluster {
  readonly isOpen: boolean
  /** Another array each time that the cluster has been discovered. */
  readonly masters: readonly Node[]
  readonly slots: ReadonlyArray<{ readonly master: Node } | undefined>
  nodeClient(node: Node): Promise<unknown>
  connect(): Promise<unknown>
  on(event: string, listener: (...args: unknown[]) => void): unknown
  sendCommand(
    key: string | undefined, isReadonly: boolean | undefined, args: Array<string | Buffer>, options?: object
  ): Promise<unknown>
  subscribe(channel: string, listener: (message: string, channel: string) => void): Promise<unknown>
}

const adapted = new WeakMap<NodeRedisCluster, NodeRedisClusterClient>()

/**
 * A cluster of node-redis with the interface of the store. It is the application's own, so it is neither
 * changed nor closed here.
 */
export class NodeRedisClusterClient extends NodeRedisCommands implements ClusterClient {
  readonly isCluster = true
  /** `send` never asks a replica, whatever `useReplicas` says. */
  readonly options = { scaleReads: 'master' }
  readonly #cluster: NodeRedisCluster
  #masters: readonly Node[] = []
  #slots: string[][] = []
  #nodes = new Map<unknown, ServerClient>()

  private constructor (cluster: NodeRedisCluster) {
    super()
    this.#cluster = cluster
    cluster.on('connect', () => { this.emit('ready') })
    for (const event of ['node-ready', 'node-disconnect']) cluster.on(event, () => { this.#look() })
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
    return [...this.#nodes.values()]
  }

  connect (): Promise<unknown> {
    return this.#cluster.connect()
  }

  disconnect (): void {}

  duplicate (): ClusterClient {
    return this
  }

  subscribe (channel: string): Promise<unknown> {
    return this.#cluster.subscribe(channel, (message) => { this.emit('message', channel, message) })
  }

  protected send (key: string | undefined, args: Argument[], options: object): Promise<unknown> {
    return this.#cluster.sendCommand(key, false, args.map(encoded), options)
  }

  /** Follows the cluster, which does not tell when it has discovered other masters. */
  #look (): void {
    if (this.#cluster.masters === this.#masters) return
    this.#masters = this.#cluster.masters
    const before = this.#nodes
    this.#nodes = new Map()
    for (const node of this.#masters) {
      // Connects to it, if it has not been used yet.
      if (node.client === undefined) this.#cluster.nodeClient(node).then(() => { this.#lookAgain() }, () => {})
      else this.#nodes.set(node.client, before.get(node.client) ?? new NodeRedisClient(node.client as NodeRedis))
    }
    this.#slots = this.#cluster.slots.map((slot) => slot === undefined ? [] : [slot.master.address])
    for (const [client, node] of before) if (!this.#nodes.has(client)) this.emit('-node', node)
    for (const [client, node] of this.#nodes) if (!before.has(client)) this.emit('+node', node)
    this.emit('refresh')
  }

  #lookAgain (): void {
    this.#masters = []
    this.#look()
  }
}
