import type { FastifyReply, FastifyRequest } from 'fastify'
import { isResponse } from '../fastify/payload.js'
import { headerOn, setHeaderOn } from '../fastify/private-state.js'
import { textOf, type HeaderValue } from '../http/headers.js'
import { requestedRange } from '../http/range.js'
import { etagOf, weakened } from '../http/validators.js'
import { conditioned, hasConditions, type Validators } from './conditions.js'
import { codingOn } from './encoding/apply.js'
import { bytesOf, isWhole } from './whole.js'

/** The body of a response as the handler sent it. */
export interface SentBody {
  /** What hooks get; the body of a `Response`. */
  readonly payload: unknown
  /** Undefined for a stream that has not been read. */
  readonly body: Buffer | undefined
  /** The ETag of the body, if it is known. */
  readonly etag: string | undefined
}

/** The headers that describe a body. */
interface Described {
  /** Undefined if it is none, or only announced. */
  readonly coding: HeaderValue
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/**
 * A response of a cached route while the application's onSend hooks run. Validators and conditions are
 * about the response that leaves (RFC 9110 sections 8.8 and 13), so this watches what hooks make of the body.
 */
export class Outgoing {
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #sent: SentBody
  readonly #sentHeaders: Described
  /** What hooks have made of the body before a content coding. */
  #uncoded: unknown
  #uncodedEtag: string | undefined
  /** What hooks have made of the body with a content coding. */
  #coded: unknown
  /** The ETag of the handler's body, if it was needed. */
  bodyEtag: string | undefined

  constructor (request: FastifyRequest, reply: FastifyReply, sent: SentBody) {
    this.#request = request
    this.#reply = reply
    this.#sent = sent
    this.#sentHeaders = described(reply)
    this.#uncoded = sent.payload
    this.#uncodedEtag = this.#sentHeaders.etag
    this.bodyEtag = sent.etag
  }

  /** Called between hooks. */
  watch (payload: unknown): void {
    this.#note(payload, described(this.#reply))
  }

  #note (payload: unknown, now: Described): void {
    // Fastify removes the body of a HEAD in a hook, which may be followed by others.
    if (payload === null && this.#request.method === 'HEAD') return
    if (this.#isCoded(now)) {
      this.#coded = payload
      return
    }
    this.#uncoded = isResponse(payload) ? payload.body : payload
    this.#uncodedEtag = now.etag
  }

  /**
   * Applies the request's conditions after all hooks.
   * @param isStored whether the response is stored, or comes from there: it gets an ETag if nobody has set one
   * @param isDecodedLater whether the client gets other bytes in the end: no range of these
   */
  complete (payload: unknown, isStored: boolean, isDecodedLater: boolean): unknown {
    let now = described(this.#reply)
    this.#note(payload, now)
    // There is nothing that a client could have already.
    if (this.#uncoded === undefined || this.#uncoded === null) return payload
    const { isUnchanged } = this
    if (isStored) {
      now = this.#withEtag(isUnchanged, now)
      this.#sayLength(payload, isUnchanged, now)
    }
    const isDecoded = !isWhole(payload) && this.#isRangeOfUncoded(isUnchanged, now)
    const leaving = isDecoded ? this.#decode() : payload
    const isWeakened = !isDecoded && this.#isOfUncoded(now)
    if (isWeakened) now = this.#weakened(now)
    if (!hasConditions(this.#request)) return leaving
    const { isForeign, ...validators } = this.#validators(isUnchanged, now)
    return conditioned(this.#request, this.#reply, leaving, {
      ...validators, isForeign: isForeign || isWeakened || isDecodedLater, isStored
    })
  }

  /** The validators of the response. Those that the handler set are not valid for a body that hooks changed. */
  #validators (isUnchanged: boolean, { etag, lastModified }: Described): Omit<Validators, 'isStored'> {
    const sent = this.#sentHeaders
    const isForeign = !isUnchanged && etag !== undefined && etag === sent.etag
    return {
      isForeign,
      etag: isForeign ? undefined : etag,
      lastModified: isUnchanged || lastModified !== sent.lastModified ? lastModified : undefined
    }
  }

  /** Adds, if there is none, a strong ETag of the bytes that leave, or before they are encoded while they are sent. */
  #withEtag (isUnchanged: boolean, now: Described): Described {
    if (now.etag !== undefined || this.#reply.statusCode !== 200) return now
    const coded = this.#coded
    const isEncoded = this.#isCoded(now) && isWhole(coded)
    const etag = isEncoded ? etagOf(coded) : this.#etagOfUncoded(isUnchanged)
    if (etag === undefined) return now
    if (!isEncoded) this.#uncodedEtag = etag
    setHeaderOn(this.#reply, 'etag', etag)
    return { ...now, etag }
  }

  /** To a HEAD of a stored stream: Fastify, which does not read it, says none (RFC 9110 section 9.3.2). */
  #sayLength (payload: unknown, isUnchanged: boolean, now: Described): void {
    const { body } = this.#sent
    if (payload !== null || body === undefined || !isUnchanged || this.#isCoded(now)) return
    if (headerOn(this.#reply, 'content-length') === undefined) setHeaderOn(this.#reply, 'content-length', body.length)
  }

  #etagOfUncoded (isUnchanged: boolean): string | undefined {
    const { payload, body } = this.#sent
    if (!isUnchanged) return isWhole(this.#uncoded) ? etagOf(this.#uncoded) : undefined
    if (body === undefined || payload === undefined || payload === null) return undefined
    this.bodyEtag ??= etagOf(body)
    return this.bodyEtag
  }

  /** Whether the response has an ETag from before a content coding: not that of the encoded bytes. */
  #isOfUncoded (now: Described): boolean {
    return this.#isCoded(now) && now.etag !== undefined && now.etag === this.#uncodedEtag
  }

  #weakened (now: Described): Described {
    const etag = weakened(now.etag!)
    this.#reply.header('etag', etag)
    return { ...now, etag }
  }

  /** Whether a range of the body can be sent, but not of its encoded form, whose length is not known. */
  #isRangeOfUncoded (isUnchanged: boolean, now: Described): boolean {
    const { headers, method } = this.#request
    const uncoded = this.#uncoded
    if (!this.#isCoded(now) || headers.range === undefined || method !== 'GET' || !isWhole(uncoded)) return false
    const { etag, lastModified, isForeign } = this.#validators(isUnchanged, now)
    return !isForeign && requestedRange(headers, bytesOf(uncoded).length, etag, lastModified) !== undefined
  }

  /** Takes a content coding back. */
  #decode (): unknown {
    const { coding } = this.#sentHeaders
    if (coding === undefined) this.#reply.removeHeader('content-encoding')
    else this.#reply.header('content-encoding', coding)
    return this.#uncoded
  }

  #isCoded ({ coding }: Described): boolean {
    return coding !== this.#sentHeaders.coding
  }

  /** Whether hooks left the body as it was, but for a content coding. */
  get isUnchanged (): boolean {
    const { payload, body } = this.#sent
    const uncoded = this.#uncoded
    // Other bytes than these a hook may have changed in place.
    if (uncoded === body || (uncoded === payload && !ArrayBuffer.isView(uncoded))) return true
    return body !== undefined && isWhole(uncoded) && bytesOf(uncoded).equals(body)
  }
}

function described (reply: FastifyReply): Described {
  const etag = headerOn(reply, 'etag')
  const lastModified = headerOn(reply, 'last-modified')
  return { coding: codingOn(reply), etag: textOf(etag), lastModified: textOf(lastModified) }
}
