import type { FastifyReply } from 'fastify'
import { headersOf } from '../../fastify/private-state.js'
import {
  listOf, storableDifference, type HeaderCalls, type HeaderDifference, type Headers
} from '../../http/headers.js'

/** What a handler, and the preSerialization hooks behind it, do to the headers of a reply. */
export class HandlerHeaders implements HeaderCalls {
  /** The headers before the handler ran. */
  readonly before: Headers
  readonly set = new Set<string>()
  readonly removed = new Set<string>()

  constructor (reply: FastifyReply) {
    this.before = headersOf(reply)
  }

  /** What has changed, if these are the headers now. */
  difference (headers: Headers): HeaderDifference {
    return storableDifference(this.before, headers, this)
  }
}

/** The request headers in the Vary of a handler; none if it left that to hooks. */
export function nominatedBy (headers: Headers, { set, extended }: HeaderDifference): readonly string[] {
  return set['vary'] === undefined && extended?.['vary'] === undefined ? [] : listOf(headers['vary'])
}
