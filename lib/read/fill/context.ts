import type { Forwarded } from '../../http/cache-status.js'
import type { CacheKey } from '../../key/cache-key.js'
import type { FillInFlight } from '../coalesce/fills-in-flight.js'

/** What is known when a fill begins. */
export interface FillContext {
  readonly outcome: 'fill'
  /** Why the handler runs. */
  readonly forwarded: Forwarded
  readonly detail: string | undefined
  readonly key: CacheKey
  /** The versions that are current before the handler runs, in the order of the key's names. */
  readonly versions: readonly string[]
  /** The versions of all tag groups, if the route takes its tags from the payload. */
  readonly groups: readonly string[] | undefined
  /** When the handler is called, in milliseconds of `performance.now()`. */
  readonly beganAt: number
  /** Whether no request waits for this response: it is only stored. */
  readonly isRefresh: boolean
  /** Lets other requests wait for this fill; undefined if none may. */
  readonly inFlight: FillInFlight | undefined
}
