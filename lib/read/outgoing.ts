import type { FastifyReply, FastifyRequest } from 'fastify'
import { isResponse } from '../fastify/payload.js'
import { headerOn, setHeaderOn } from '../fastify/private-state.js'
import { textOf, type HeaderValue } from '../http/headers.js'
import { requestedRange } from '../http/range.js'
import { etagOf, weakened } from '../http/validators.js'
import { conditioned, hasConditions, type Validators } from './conditions.js'
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
  #bodyEtag: string | undefined

  constructor (request: FastifyRequest, reply: FastifyReply, sent: SentBody) {
    this.#request = request
    this.#reply = reply
    this.#sent = sent
    this.#sentHeaders = this.#described()
    this.#uncoded = sent.payload
    this.#uncodedEtag = this.#sentHeaders.etag
    this.#bodyEtag = sent.etag
  }

  /** The ETag of the handler's body, if it was needed. */
  get bodyEtag (): string | undefined {
    return this.#bodyEtag
  }

  /** Called between hooks. */
  watch (payload: unknown): void {
    if (this.#isCoded()) {
      this.#coded = payload
      return
    }
    this.#uncoded = isResponse(payload) ? payload.body : payload
    this.#uncodedEtag = this.#etag()
  }

  /**
   * Applies the request's conditions after all hooks.
   * @param addsEtag whether the response gets an ETag if nobody has set one
   */
  complete (payload: unknown, addsEtag: boolean): unknown {
    // Fastify removes the body of a HEAD in a hook.
    if (this.#request.method !== 'HEAD' || payload !== null) this.watch(payload)
    // There is nothing that a client could have already.
    if (this.#uncoded === undefined || this.#uncoded === null) return payload
    const isUnchanged = this.#isUnchanged()
    if (addsEtag && this.#reply.statusCode === 200) this.#addEtag(isUnchanged)
    const leaving = isWhole(payload) || !this.#isRangeOfUncoded(isUnchanged) ? payload : this.#decode()
    const isWeakened = this.#isCoded() && this.#weakenEtag()
    if (!hasConditions(this.#request)) return leaving
    const { isForeign, ...validators } = this.#validators(isUnchanged)
    return conditioned(this.#request, this.#reply, leaving, { ...validators, isForeign: isForeign || isWeakened })
  }

  /** The validators of the response. Those that the handler set are not valid for a body that hooks changed. */
  #validators (isUnchanged: boolean): Validators {
    const { etag, lastModified } = this.#described()
    const sent = this.#sentHeaders
    const isForeign = !isUnchanged && etag !== undefined && etag === sent.etag
    return {
      isForeign,
      etag: isForeign ? undefined : etag,
      lastModified: isUnchanged || lastModified !== sent.lastModified ? lastModified : undefined
    }
  }

  /** A strong ETag of the bytes that leave, or before they are encoded while they are sent. */
  #addEtag (isUnchanged: boolean): void {
    if (this.#etag() !== undefined) return
    const coded = this.#coded
    const isEncoded = this.#isCoded() && isWhole(coded)
    const etag = isEncoded ? etagOf(coded) : this.#etagOfUncoded(isUnchanged)
    if (etag === undefined) return
    if (!isEncoded) this.#uncodedEtag = etag
    setHeaderOn(this.#reply, 'etag', etag)
  }

  #etagOfUncoded (isUnchanged: boolean): string | undefined {
    const { payload, body } = this.#sent
    if (!isUnchanged) return isWhole(this.#uncoded) ? etagOf(this.#uncoded) : undefined
    if (body === undefined || payload === undefined || payload === null) return undefined
    this.#bodyEtag ??= etagOf(body)
    return this.#bodyEtag
  }

  /** An ETag from before a content coding is not that of the encoded bytes. @returns whether it is such a one */
  #weakenEtag (): boolean {
    const etag = this.#etag()
    if (etag === undefined || etag !== this.#uncodedEtag) return false
    this.#reply.header('etag', weakened(etag))
    return true
  }

  /** Whether a range of the body can be sent, but not of its encoded form, whose length is not known. */
  #isRangeOfUncoded (isUnchanged: boolean): boolean {
    const { headers, method } = this.#request
    const uncoded = this.#uncoded
    if (!this.#isCoded() || headers.range === undefined || method !== 'GET' || !isWhole(uncoded)) return false
    const { etag, lastModified, isForeign } = this.#validators(isUnchanged)
    return !isForeign && requestedRange(headers, bytesOf(uncoded).length, etag, lastModified) !== undefined
  }

  /** Takes a content coding back. */
  #decode (): unknown {
    const { coding } = this.#sentHeaders
    if (coding === undefined) this.#reply.removeHeader('content-encoding')
    else this.#reply.header('content-encoding', coding)
    return this.#uncoded
  }

  #isCoded (): boolean {
    return headerOn(this.#reply, 'content-encoding') !== this.#sentHeaders.coding
  }

  /** Whether hooks left the body as it was, but for a content coding. */
  #isUnchanged (): boolean {
    const { payload, body } = this.#sent
    const uncoded = this.#uncoded
    // Other bytes than these a hook may have changed in place.
    if (uncoded === body || (uncoded === payload && !ArrayBuffer.isView(uncoded))) return true
    return body !== undefined && isWhole(uncoded) && bytesOf(uncoded).equals(body)
  }

  #etag (): string | undefined {
    return textOf(headerOn(this.#reply, 'etag'))
  }

  #described (): Described {
    const reply = this.#reply
    return {
      coding: headerOn(reply, 'content-encoding'),
      etag: this.#etag(),
      lastModified: textOf(headerOn(reply, 'last-modified'))
    }
  }
}
