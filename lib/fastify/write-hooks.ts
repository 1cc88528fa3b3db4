import type { onSendHookHandler } from 'fastify'
import type { Core } from '../runtime.js'
import { namesFor, type WritePolicy } from '../policy/write-policy.js'
import { kSent } from './sent.js'
import { kIntent } from '../write/intent.js'

/**
 * Moves the versions of what a successful write made old, before its response leaves.
 * @param route as the log names it
 */
export function invalidateOnSend (core: Core, route: string, policy: WritePolicy): onSendHookHandler<unknown> {
  return async function apiCacheOnSend (request, reply, payload) {
    const hasWritten = succeeded(reply.statusCode) && succeeded(statusOf(payload) ?? 200)
    if (policy.strict === true) {
      await reply[kIntent]?.end(hasWritten)
      return payload
    }
    if (!hasWritten) return payload
    const sent = reply[kSent]
    const failures: unknown[] = []
    const names = (field: 'invalidate' | 'invalidateTags'): string[] => {
      try {
        return namesFor(field, policy[field], request, sent?.payload)
      } catch (error) {
        failures.push(error)
        return []
      }
    }
    const [namespaces, tags] = [names('invalidate'), names('invalidateTags')]
    if (namespaces.length + tags.length > 0) await core.invalidate(namespaces, tags)
    if (failures.length > 0) {
      // A hook that answers before the handler runs, such as a guard that redirects, has written nothing.
      const hasRun = sent !== undefined
      core.complainOfWrite(request.log, route, failures[0], hasRun)
      if (hasRun) await core.invalidateEverything()
    }
    return payload
  }
}

const succeeded = (status: number): boolean => status >= 200 && status < 400

/** A `Response` brings a status of its own, which Fastify puts on the reply later. */
function statusOf (payload: unknown): number | undefined {
  return Object.prototype.toString.call(payload) === '[object Response]' ? (payload as Response).status : undefined
}
