import type { FastifyRequest } from 'fastify'
import { namesFor, type WritePolicy } from '../policy/write-policy.js'
import type { Runtime } from '../runtime.js'

/** A route with a write policy. */
export interface WriteRoute {
  /** Its name in the log. */
  readonly name: string
  readonly policy: WritePolicy
  readonly runtime: Runtime
}

/** What a handler sent. An object, because the payload may be undefined. */
export interface SentPayload {
  readonly payload: unknown
}

/**
 * After a write that succeeded, before its response leaves: bumps the versions of what it made old,
 * and sweeps behind them.
 * @param sent undefined when the handler has not run
 * @returns undefined where there is nothing to wait for: a handler that answers twice has as little time as without us
 */
export function afterWrite (
  route: WriteRoute, request: FastifyRequest, sent: SentPayload | undefined
): Promise<unknown> | undefined {
  const { name, policy, runtime: { invalidation, log } } = route
  const faults: unknown[] = []
  const names = (field: 'invalidate' | 'invalidateTags'): string[] => {
    try {
      return namesFor(field, policy[field], request, sent?.payload)
    } catch (error) {
      faults.push(error)
      return []
    }
  }
  const [namespaces, tags] = [names('invalidate'), names('invalidateTags')]
  const invalidated = namespaces.length + tags.length > 0 ? invalidation.invalidate(namespaces, tags) : undefined
  if (faults.length === 0) return invalidated
  // A hook that answers before the handler runs, such as a guard that redirects, has written nothing.
  const hasRun = sent !== undefined
  log.writePolicyFault(request.log, name, faults[0], hasRun)
  return hasRun ? Promise.resolve(invalidated).then(() => invalidation.invalidateAll()) : invalidated
}
