import type { onSendHookHandler } from 'fastify'
import type { Core } from '../core.js'
import { namesFor, type WritePolicy } from '../policy/write-policy.js'
import { kSent } from './sent.js'
import { kIntent } from './strict.js'

/** Moves the versions of what a successful write made old, before its response leaves. */
export function invalidateOnSend (core: Core, policy: WritePolicy): onSendHookHandler<unknown> {
  return async function apiCacheOnSend (request, reply, payload) {
    const hasWritten = succeeded(reply.statusCode) && succeeded(statusOf(payload) ?? 200)
    if (policy.strict === true) {
      await reply[kIntent]?.end(hasWritten)
      return payload
    }
    if (!hasWritten) return payload
    const given = reply[kSent]?.payload
    const namespaces = namesFor('invalidate', policy.invalidate, request, given)
    const tags = namesFor('invalidateTags', policy.invalidateTags, request, given)
    if (namespaces.length + tags.length > 0) await core.invalidate(namespaces, tags)
    return payload
  }
}

const succeeded = (status: number): boolean => status >= 200 && status < 400

/** A `Response` brings a status of its own, which Fastify puts on the reply later. */
function statusOf (payload: unknown): number | undefined {
  return Object.prototype.toString.call(payload) === '[object Response]' ? (payload as Response).status : undefined
}
