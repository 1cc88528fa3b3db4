import { kFound } from '../fastify/state.js'
import { requestDirectives } from '../http/request-directives.js'
import { coalesce } from './coalesce/coalesce.js'
import { bypassFor, type Bypass, type Exchange, type Found, type Hit, type Miss } from './exchange.js'
import type { FillContext } from './fill/context.js'
import { lookup } from './lookup.js'

/** A request with `only-if-cached` for which there is no entry. */
export interface Refused {
  readonly outcome: 'refused'
  readonly found: Miss | Bypass
}

/** What answers a request: an entry, a run of the handler that is stored, or one that is not. */
export type Resolved = Hit | FillContext | Miss | Bypass | Refused

/**
 * Finds what answers a request.
 * @param fills whether the answer of the handler may be stored
 */
export async function resolve (exchange: Exchange, fills: boolean): Promise<Resolved> {
  const { route: { policy }, request } = exchange
  const directives = policy.obeysRequest ? requestDirectives(request.headers) : undefined
  // With `attachValidation` the handler responds to invalid requests itself.
  const found: Found = request.validationError != null
    ? bypassFor('validation')
    : await (request[kFound] ?? lookup(exchange, directives))
  if (found.outcome === 'hit') return found
  // RFC 9111 section 5.2.1.7.
  if (directives?.onlyIfCached === true) return { outcome: 'refused', found }
  return found.outcome === 'bypass' || !fills ? found : await coalesce(exchange, found)
}
