import { StoreUnavailableError } from '../errors.js'
import { checkFields, isCount, isFunction, isObject, requireFields, type Fields } from '../policy/fields.js'
import { identifier } from './quote.js'
import { DEFAULT_OUTBOX, OUTBOX } from './outbox-sql.js'

/** Runs one statement on its own, outside of transactions, and returns its rows; `$1` is the first parameter. */
export type Query = (sql: string, parameters: string[]) => Promise<{ readonly rows: object[] }>

/** What a follower needs of `fastify.apiCache`. */
export interface OutboxCache {
  invalidate (namespaces: readonly string[]): Promise<{ readonly delivered: boolean }>
  invalidateTags (tags: readonly string[]): Promise<{ readonly delivered: boolean }>
}

export interface FollowOptions {
  readonly query: Query
  readonly cache: OutboxCache
  /** Told of each attempt that failed, for the log; it is repeated by itself. */
  readonly onError: (error: unknown) => void
  /** The schema of the outbox; default `'api_cache'`. */
  readonly outbox?: string
  /** Milliseconds between two looks at the outbox if nothing wakes the follower; default 1,000. */
  readonly interval?: number
}

const OPTIONS: Fields<FollowOptions> = {
  query: { accepts: isFunction, expects: 'a function (sql, parameters) => Promise<{ rows }>' },
  cache: { accepts: isObject, expects: 'fastify.apiCache' },
  onError: { accepts: isFunction, expects: 'a function' },
  outbox: OUTBOX,
  interval: { accepts: isCount, expects: 'a number of milliseconds' }
}

interface Row {
  readonly id: string
  readonly namespaces: readonly string[]
  readonly tags: readonly string[]
}

/** Most rows of one invalidation: with at most 1,000 tags each they are not too many names. */
const BATCH = 100
/** For how long rows belong to the follower that claimed them. Others take them over if it has crashed. */
const CLAIM = '10 seconds'
/** Milliseconds until the first attempt after a failure; the time doubles with each further one. */
const FIRST_RETRY = 100
const LONGEST_RETRY = 5_000

/**
 * Invalidates what an outbox says, and deletes its rows when the store has confirmed. Several
 * followers share the work.
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError
 */
export function followOutbox (options: FollowOptions): OutboxFollower {
  checkFields('followOutbox', options, OPTIONS)
  requireFields('followOutbox', options, ['query', 'cache', 'onError'])
  const follower = new OutboxFollower(options)
  follower.wake()
  return follower
}

export class OutboxFollower {
  readonly #options: FollowOptions
  readonly #claim: string
  readonly #release: string
  readonly #acknowledge: string
  /** Its timer keeps the process alive, as a server does, until `close()`. */
  #timer: NodeJS.Timeout | undefined
  #following: Promise<void> | undefined
  #woken = false
  #failures = 0
  #closed = false

  /** Use `followOutbox`. */
  constructor (options: FollowOptions) {
    const table = `${identifier(options.outbox ?? DEFAULT_OUTBOX)}.outbox`
    this.#options = options
    // By id and not by position: a transaction with a lower id may commit later. MATERIALIZED keeps
    // the planner from running the LIMIT more than once.
    this.#claim = `WITH next AS MATERIALIZED (
      SELECT id FROM ${table} WHERE claimed_until IS NULL OR claimed_until < clock_timestamp()
      ORDER BY id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
      UPDATE ${table} AS claimed SET claimed_until = clock_timestamp() + interval '${CLAIM}' FROM next
      WHERE claimed.id = next.id RETURNING claimed.id::text AS id, claimed.namespaces, claimed.tags`
    this.#release = `UPDATE ${table} SET claimed_until = NULL WHERE id = ANY ($1::text::bigint[])`
    this.#acknowledge = `DELETE FROM ${table} WHERE id = ANY ($1::text::bigint[])`
  }

  /** Looks at the outbox now, for example on a notification. While it backs off after a failure, this does nothing. */
  wake (): void {
    this.#woken = true
    if (!this.#closed && this.#failures === 0) this.#start()
  }

  /** Resolves when the batch in progress has settled; nothing runs afterwards. */
  async close (): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#following
  }

  #start (): void {
    clearTimeout(this.#timer)
    this.#following ??= this.#follow().finally(() => {
      this.#following = undefined
      if (!this.#closed) this.#timer = setTimeout(() => { this.#start() }, this.#pause())
    })
  }

  #pause (): number {
    if (this.#failures > 0) return Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), LONGEST_RETRY)
    return this.#woken ? 0 : this.#options.interval ?? 1_000
  }

  /** Delivers until the outbox is empty. Never rejects. */
  async #follow (): Promise<void> {
    this.#woken = false
    try {
      while (!this.#closed && await this.#deliverBatch());
      this.#failures = 0
    } catch (error) {
      this.#failures++
      this.#options.onError(error)
    }
  }

  /** Whether there was anything to deliver. */
  async #deliverBatch (): Promise<boolean> {
    const { query } = this.#options
    const rows = (await query(this.#claim, [])).rows as Row[]
    if (rows.length === 0) return false
    const ids = `{${rows.map(({ id }) => id).join()}}`
    try {
      await this.#deliver(rows)
    } catch (error) {
      // If this fails, too, the claim expires.
      await query(this.#release, [ids]).catch(this.#options.onError)
      throw error
    }
    await query(this.#acknowledge, [ids])
    return true
  }

  async #deliver (rows: readonly Row[]): Promise<void> {
    const { cache } = this.#options
    const namespaces = [...new Set(rows.flatMap((row) => row.namespaces))]
    const tags = [...new Set(rows.flatMap((row) => row.tags))]
    const outcomes = await Promise.all([
      namespaces.length > 0 ? cache.invalidate(namespaces) : { delivered: true },
      tags.length > 0 ? cache.invalidateTags(tags) : { delivered: true }
    ])
    if (outcomes.every(({ delivered }) => delivered)) return
    throw new StoreUnavailableError('the store did not confirm an invalidation; it stays in the outbox until it does')
  }
}
