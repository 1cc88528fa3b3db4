import type { FastifyInstance } from 'fastify'
import { AlreadyRegisteredError } from '../errors.js'

/** The prefixes in use, by HTTP server. All contexts of an application share one server. */
const takenOn = new WeakMap<object, Set<string>>()

/**
 * Takes a prefix for one registration. Two registrations with the same entries would not learn of
 * each other's pending invalidations.
 * @returns a function that gives the prefix back
 * @throws AlreadyRegisteredError
 */
export function takePrefix (fastify: FastifyInstance, prefix: string): () => void {
  if (fastify.hasDecorator('apiCache')) {
    throw new AlreadyRegisteredError(
      "this context has fastify.apiCache already, its own or a parent's, which serves all routes below it: " +
      "register the plugin once for them; a cache of its own needs a context beside that one, and its own 'prefix'")
  }
  const taken = takenOn.get(fastify.server) ?? new Set()
  takenOn.set(fastify.server, taken)
  if (taken.has(prefix)) {
    throw new AlreadyRegisteredError(
      `another context of this server has fastify-api-cache with the prefix '${prefix}' already: ` +
      "register the plugin once on the parent of both, or give each its own 'prefix'")
  }
  taken.add(prefix)
  return () => { taken.delete(prefix) }
}
