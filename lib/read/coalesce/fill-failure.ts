import type { Entry } from '../../entry/entry.js'
import type { HeaderDifference } from '../../http/headers.js'

/** What a handler threw, and what it had done to its reply before. */
export interface Thrown {
  readonly error: unknown
  readonly status?: number
  readonly headers?: HeaderDifference
}

/** A response with a status that is not stored, and the key that it would have. */
export interface Rejected {
  readonly entry: Entry
  readonly key: string
}

/** How a fill failed. Requests that waited for it fail in the same way; the next one begins a new fill. */
export class FillFailure {
  constructor (readonly cause: Thrown | Rejected) {}
}
