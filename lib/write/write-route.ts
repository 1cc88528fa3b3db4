import type { FastifyRequest } from 'fastify'
import { namesFor, type WritePolicy } from '../policy/write-policy.js'
import type { Runtime } from '../runtime.js'

/** A route with a write policy. */
export interface WriteRoute {
  /** Its name in the log. */
  readonly name: string
  readonly policy: WritePolicy
  /** Milliseconds of the window after the write; 0 for none. */
  readonly settle: number
  /** Milliseconds for which old entries of its namespaces and of its tags may be used; 0 for a hard write. */
  readonly soft: { readonly namespaces: number, readonly tags: number }
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
  const { name, policy, settle, runtime: { invalidation, log } } = route
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
  const isAny = namespaces.length + tags.length > 0
  const invalidated = isAny ? invalidate(route, namespaces, tags) : undefined
  if (faults.length === 0) return invalidated
  // A hook that answers before the handler runs, such as a guard that redirects, has written nothing.
  const hasRun = sent !== undefined
  log.writePolicyFault(request.log, name, faults[0], hasRun)
  return hasRun ? Promise.resolve(invalidated).then(() => invalidation.invalidateAll(settle)) : invalidated
}

function invalidate (
  { settle, soft, runtime: { invalidation } }: WriteRoute, namespaces: readonly string[], tags: readonly string[]
): Promise<unknown> {
  if (namespaces.length === 0) return invalidation.invalidate([], tags, settle, soft.tags)
  if (tags.length === 0 || soft.tags === soft.namespaces) {
    return invalidation.invalidate(namespaces, tags, settle, soft.namespaces)
  }
  return Promise.all([
    invalidation.invalidate(namespaces, [], settle, soft.namespaces),
    invalidation.invalidate([], tags, settle, soft.tags)
  ])
}
