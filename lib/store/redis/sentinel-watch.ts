import { Redis } from 'ioredis'
import type { ServerClient } from './client.js'
import { asAddress } from './replies.js'
import { DISCONNECT_TIMEOUT } from './retry.js'

/** Milliseconds between two questions to a Sentinel who the master is. */
const INTERVAL = 500
/** Longest time in milliseconds to wait for its answer. */
const TIMEOUT = 1_000

/**
 * Asks a Sentinel again and again who the master is. A master that was cut off or hung while it was
 * replaced goes on as a master until a Sentinel tells it, which takes many seconds, and the event
 * by which Sentinels announce a failover does not reach those who are cut off with it.
 */
export class SentinelWatch {
  readonly #client: ServerClient
  readonly #timer: NodeJS.Timeout
  #sentinel: Redis | undefined
  /** The place of the Sentinel in the list. */
  #place = 0
  #asking = false
  /** The master's address, as far as it is known: now, and when the client last asked for it. */
  #master: string | undefined
  #connectedTo: string | undefined
  readonly #connecting = (): void => { this.#connectedTo = this.#master }
  // So that its answer is known when the client connects again.
  readonly #close = (): void => { void this.#look() }

  /** @param client finds its server through Sentinels, and is reconnected when that is not the master any more */
  constructor (client: ServerClient) {
    this.#client = client.on('connecting', this.#connecting).on('close', this.#close)
    this.#timer = setInterval(() => { void this.#look() }, INTERVAL).unref()
    void this.#look()
  }

  close (): void {
    clearInterval(this.#timer)
    this.#client.off('connecting', this.#connecting).off('close', this.#close)
    this.#sentinel?.disconnect()
  }

  /** Never rejects. */
  async #look (): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    const sentinel = this.#sentinel ??= this.#connect()
    try {
      const reply = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#client.options.name!)
      this.#master = asAddress('SENTINEL', reply)
      this.#connectedTo ??= this.#master
      // A client that is connecting would give up for good.
      if (this.#connectedTo !== this.#master && this.#client.status === 'ready') this.#client.disconnect(true)
    } catch {
      // The next one in the list may know.
      sentinel.disconnect()
      this.#sentinel = undefined
      this.#place++
    } finally {
      this.#asking = false
    }
  }

  #connect (): Redis {
    const { sentinels, sentinelUsername, sentinelPassword, sentinelTLS, family } = this.#client.options
    const { host, port = 26379 } = sentinels![this.#place % sentinels!.length]!
    const sentinel = new Redis({
      host,
      port,
      family,
      username: sentinelUsername,
      password: sentinelPassword,
      tls: sentinelTLS,
      enableReadyCheck: false,
      commandTimeout: TIMEOUT,
      connectTimeout: TIMEOUT,
      disconnectTimeout: DISCONNECT_TIMEOUT,
      retryStrategy: () => null
    })
    return sentinel.on('error', () => {})
  }
}
