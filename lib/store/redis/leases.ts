import type { Leases } from '../contract.js'
import { asFlag, asInteger } from './replies.js'
import { LEASE, RELEASE } from './scripts.js'
import type { RedisClient, Topology } from './topology.js'

/** The channel on which released leases are published. */
const CHANNEL = 'fastify-api-cache:leases'

/** Leases, each under its own key, and a channel for released ones. */
export class RedisLeases implements Leases {
  readonly #topology: Topology
  readonly #channel: string
  /** A connection that is only used to subscribe. */
  #subscriber: RedisClient | undefined

  constructor (topology: Topology) {
    this.#topology = topology
    this.#channel = topology.keyPrefix + CHANNEL
  }

  async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
    return asFlag('EVAL', await this.#topology.client.eval(LEASE, 1, key, holder, milliseconds))
  }

  async release (key: string, holder: string, news: string): Promise<void> {
    const { client } = this.#topology
    asInteger('EVAL', await client.eval(RELEASE, 1, key, holder))
    asInteger('PUBLISH', await client.publish(this.#channel, `${news} ${key}`))
  }

  subscribe (listener: (key: string, news: string) => void): void {
    if (this.#subscriber !== undefined) return
    this.#subscriber = this.#topology.subscriber()
    // Waiters that get no news try again, and errors of Redis are logged for the main connection.
    this.#subscriber.on('error', () => {})
    this.#subscriber.on('message', (_channel: string, message: string) => {
      const keyAt = message.indexOf(' ') + 1
      listener(message.slice(keyAt), message.slice(0, keyAt - 1))
    })
    this.#subscriber.subscribe(this.#channel).catch(() => {})
  }

  close (): void {
    this.#subscriber?.disconnect()
  }
}
