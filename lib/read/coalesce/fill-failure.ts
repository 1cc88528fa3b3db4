import { isDeepStrictEqual } from 'node:util'
import type { FastifyRequest } from 'fastify'
import type { Entry } from '../../entry/entry.js'
import type { HeaderDifference, RequestHeaders } from '../../http/headers.js'
import { isAboutRequest } from '../../http/storable.js'
import { CONDITIONS } from '../conditions.js'

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

/** How a fill failed. Requests like its own that waited for it fail in the same way; the next one begins a new fill. */
export class FillFailure {
  readonly #askedWith: RequestHeaders

  /** @param request of the fill */
  constructor (readonly cause: Thrown | Rejected, { headers }: FastifyRequest) {
    this.#askedWith = { ...headers }
  }

  /**
   * Whether another request would fail in the same way. An error does not say by Vary what it depends on, nor
   * usually does a response that blames the request, so the other must have the same headers. Conditions do not
   * count: no handler sees them.
   */
  isFor ({ headers }: FastifyRequest): boolean {
    const { cause } = this
    if ('entry' in cause && !isAboutRequest(cause.entry.status)) return true
    return isDeepStrictEqual(unconditional(headers), unconditional(this.#askedWith))
  }

  /** Whether it is an error of the server, not an answer such as "not found". */
  get isOutage (): boolean {
    return statusOf(this.cause) >= 500
  }
}

const unconditional = (headers: RequestHeaders): RequestHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !CONDITIONS.includes(name)))

/** The status with which Fastify answers a failure. */
function statusOf (cause: Thrown | Rejected): number {
  if ('entry' in cause) return cause.entry.status
  const asked = errorStatus(cause.error) ?? cause.status ?? 500
  return asked >= 400 ? asked : 500
}

/** The status that an error asks for. */
export function errorStatus (error: unknown): number | undefined {
  const { statusCode, status } = Object(error) as { statusCode?: number, status?: number }
  return statusCode ?? status
}
