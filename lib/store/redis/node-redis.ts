import { EventEmitter } from 'node:events'
import type { Argument, Commands, DuplicateOptions, ServerClient } from './client.js'
import { retryDelay } from './retry.js'

/** What this file uses of a client of node-redis 5 (package `redis`). */
export interface NodeRedis {
  readonly isOpen: boolean
  readonly isReady: boolean
  readonly options: object
  connect(): Promise<unknown>
  destroy(): void
  unref(): void
  duplicate(options?: object): unknown
  on(event: string, listener: (...args: unknown[]) => void): unknown
  sendCommand(args: ReadonlyArray<string | Buffer>, options?: object): Promise<unknown>
  subscribe(channel: string, listener: (message: string, channel: string) => void): Promise<unknown>
}

/** Its options that matter here. */
interface NodeRedisOptions {
  readonly username?: string
  readonly name?: string
  readonly socket?: Address
}

interface Address {
  readonly host?: string
  readonly port?: number
}

/** How node-redis is told to return texts: as strings, whatever the client's own options say, or as Buffers. */
export const AS_TEXT = { typeMapping: {} }
export const AS_BUFFER = { typeMapping: { 36: Buffer } }

/** The commands, on one server or a Cluster. */
export abstract class NodeRedisCommands extends EventEmitter implements Commands {
  constructor () {
    super()
    // All stores of a process may share the nodes of a cluster.
    this.setMaxListeners(0)
  }

  abstract readonly status: string
  abstract connect (): Promise<unknown>
  abstract disconnect (reconnect?: boolean): void

  /** @param key the first key of the command, if it has one */
  protected abstract send (key: string | undefined, args: Argument[], options: object): Promise<unknown>

  call (command: string, ...args: Argument[]): Promise<unknown> {
    const keyAt = command.toLowerCase() === 'eval' ? 2 : 0
    return this.send(args[keyAt] === undefined ? undefined : String(args[keyAt]), [command, ...args], AS_TEXT)
  }

  getBuffer (key: string): Promise<unknown> {
    return this.send(key, ['GET', key], AS_BUFFER)
  }

  getrangeBuffer (key: string, start: number, end: number): Promise<unknown> {
    return this.send(key, ['GETRANGE', key, start, end], AS_BUFFER)
  }

  set (key: string, value: string | Buffer, ...args: Argument[]): Promise<unknown> {
    return this.send(key, ['SET', key, value, ...args], AS_TEXT)
  }

  exists (key: string): Promise<unknown> {
    return this.send(key, ['EXISTS', key], AS_TEXT)
  }

  pttl (key: string): Promise<unknown> {
    return this.send(key, ['PTTL', key], AS_TEXT)
  }

  del (key: string): Promise<unknown> {
    return this.send(key, ['DEL', key], AS_TEXT)
  }

  unlink (key: string): Promise<unknown> {
    return this.send(key, ['UNLINK', key], AS_TEXT)
  }

  eval (script: string, numberOfKeys: number, ...keysAndArguments: Argument[]): Promise<unknown> {
    return this.send(String(keysAndArguments[0]), ['EVAL', script, numberOfKeys, ...keysAndArguments], AS_TEXT)
  }

  publish (channel: string, message: string): Promise<unknown> {
    return this.send(undefined, ['PUBLISH', channel, message], AS_TEXT)
  }
}

/** A connection of node-redis with the interface of the store. */
export class NodeRedisClient extends NodeRedisCommands implements ServerClient {
  readonly isCluster = false
  readonly options: ServerClient['options']
  readonly #client: NodeRedis
  readonly #name: string | undefined
  #hasSocket = false
  #isClosed = false

  /**
   * @param name what CLIENT LIST shows
   * @param address by which a cluster knows the server; default: where the client connects to
   */
  constructor (client: NodeRedis, name?: string, address?: Address) {
    super()
    this.#client = client
    this.#name = name
    const { username, socket } = client.options as NodeRedisOptions
    const { host, port } = address ?? socket ?? {}
    this.options = { username, host, port }
    client.on('connect', () => { this.#connected() })
    client.on('ready', () => { this.#ready() })
    client.on('end', () => { this.#lost() })
    client.on('error', (error) => { this.#failed(error) })
  }

  /** A connection of its own to the server of the application's client, with its credentials, that fails fast. */
  static beside (client: NodeRedis, name: string): NodeRedisClient {
    const own = new NodeRedisClient(duplicated(client, false), (client.options as NodeRedisOptions).name ?? name)
    own.connect().catch(() => {})
    return own
  }

  get status (): string {
    if (this.#client.isReady) return 'ready'
    return this.#client.isOpen ? 'connecting' : 'wait'
  }

  connect (): Promise<unknown> {
    return this.#client.connect()
  }

  disconnect (reconnect = false): void {
    // One that is not ready is connecting already.
    if (!this.#client.isOpen || (reconnect && !this.#client.isReady)) return
    this.#isClosed = !reconnect
    // node-redis does not end an attempt to connect: its outcome is waited for.
    if (!this.#hasSocket) return this.#client.unref()
    this.#client.destroy()
    if (reconnect) this.connect().catch(() => {})
  }

  duplicate ({ enableOfflineQueue = false, lazyConnect = false }: DuplicateOptions = {}): NodeRedisClient {
    const other = new NodeRedisClient(duplicated(this.#client, enableOfflineQueue), this.#name)
    if (!lazyConnect) other.connect().catch(() => {})
    return other
  }

  client (subcommand: 'ID'): Promise<unknown> {
    return this.call('CLIENT', subcommand)
  }

  info (section: string): Promise<unknown> {
    return this.call('INFO', section)
  }

  ping (): Promise<unknown> {
    return this.call('PING')
  }

  mgetBuffer (keys: string[]): Promise<unknown> {
    return this.send(keys[0], ['MGET', ...keys], AS_BUFFER)
  }

  scan (cursor: string, ...args: Argument[]): Promise<unknown> {
    return this.call('SCAN', cursor, ...args)
  }

  /** It is subscribed again after each reconnection. */
  subscribe (channel: string): Promise<unknown> {
    return this.#client.subscribe(channel, (message) => { this.emit('message', channel, message) })
  }

  protected send (_key: string | undefined, args: Argument[], options: object): Promise<unknown> {
    return this.#client.sendCommand(args.map(encoded), options)
  }

  #connected (): void {
    this.#hasSocket = true
    if (this.#isClosed) this.#client.destroy()
  }

  #lost (): void {
    this.#hasSocket = false
    this.emit('close')
  }

  #failed (error: unknown): void {
    if (!this.#client.isReady) this.#lost()
    if (this.#isClosed && this.#client.isOpen) this.#client.destroy()
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #ready (): void {
    // Not by its own option `name`, whose refusal by an ACL would end the connection.
    if (this.#name !== undefined) this.call('CLIENT', 'SETNAME', this.#name).catch(() => {})
    this.emit('ready')
  }
}

/** node-redis takes no numbers. */
export const encoded = (argument: Argument): string | Buffer =>
  typeof argument === 'number' ? String(argument) : argument

function duplicated (client: NodeRedis, queues: boolean): NodeRedis {
  const { socket } = client.options as NodeRedisOptions
  return client.duplicate({
    name: undefined,
    clientSideCache: undefined,
    emitInvalidate: undefined,
    commandOptions: undefined,
    disableOfflineQueue: !queues,
    socket: { ...socket, reconnectStrategy: retryDelay }
  }) as NodeRedis
}
