import type { Leases } from '../contract.js'
import type { Subscriber } from './client.js'
import { isDenied } from './errors.js'
import { asFlag, asInteger } from './replies.js'
import type { Failed, Rights } from './rights.js'
import { LEASE, RELEASE } from './scripts.js'
import type { Topology } from './topology.js'

const NO_NEWS = "with coalesce: 'fleet' requests wait longer for the fills of other processes"

/** Leases, each under its own key, and a channel for released ones. */
export class RedisLeases implements Leases {
  readonly #topology: Topology
  /** On which released leases are published. It begins as keys do. */
  readonly #channel: string
  readonly #rights: Rights
  /** A connection that is only used to subscribe. */
  #subscriber: Subscriber | undefined

  /** @param prefix the first part of every key */
  constructor (topology: Topology, prefix: string, rights: Rights) {
    this.#topology = topology
    this.#channel = `${topology.keyPrefix}${prefix}!leases`
    this.#rights = rights
  }

  async take (key: string, holder: string, milliseconds: number): Promise<boolean> {
    return asFlag('EVAL', await this.#topology.client.eval(LEASE, 1, key, holder, milliseconds))
  }

  async release (key: string, holder: string, news: string): Promise<void> {
    asInteger('EVAL', await this.#topology.client.eval(RELEASE, 1, key, holder))
    try {
      asInteger('PUBLISH', await this.#topology.client.publish(this.#channel, `${news} ${key}`))
    } catch (error) {
      // Reported when subscribing.
      if (!isDenied(error)) throw error
    }
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
    void this.#join(this.#subscriber)
  }

  close (): void {
    this.#subscriber?.disconnect()
  }

  /** Never rejects. */
  async #join (subscriber: Subscriber): Promise<void> {
    const failed: Failed[] = []
    const failing = (command: string) => (error: unknown) => {
      failed.push({ command, channel: this.#channel, error, without: NO_NEWS })
    }
    await subscriber.subscribe(this.#channel).catch(failing('subscribe'))
    // Nobody waits for a lease without a name.
    await this.#topology.client.publish(this.#channel, '').catch(failing('publish'))
    this.#rights.report(failed)
  }
}
