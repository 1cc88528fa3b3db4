import type { FastifyInstance, RouteOptions } from 'fastify'
import { preSerializationHooks } from './private-state.js'
import { onPayload } from './read-hooks.js'

interface SharedRoute {
  readonly name: string
  readonly route: RouteOptions
  /** Where it was declared. */
  readonly instance: FastifyInstance
}

/** The routes with `scope: 'shared'`, until the application is ready: hooks may be added after a route. */
export class SharedRoutes {
  #routes: SharedRoute[] = []

  add (route: SharedRoute): void {
    this.#routes.push(route)
  }

  /** Names those whose responses are made by preSerialization hooks, too, and forgets all. */
  takeSerialized (): string[] {
    const serialized = this.#routes.filter(hasSerializationHooks)
    this.#routes = []
    // A GET route and its HEAD route have one name.
    return [...new Set(serialized.map(({ name }) => name))]
  }
}

function hasSerializationHooks ({ route, instance }: SharedRoute): boolean {
  const isOwn = (hook: unknown): boolean => hook === onPayload
  return !([route.preSerialization ?? []].flat().every(isOwn)) || (preSerializationHooks(instance) ?? 0) > 0
}
