import type { RouteOptions } from 'fastify'

type HookName = 'onRequest' | 'preSerialization' | 'onSend' | 'onError' | 'onResponse'

/**
 * Adds a hook after all others of the route, even after those that the onRoute hooks of later
 * plugins add. All onRoute hooks run in one turn, and Fastify reads the route's hooks after it.
 */
export function addLast (route: RouteOptions, name: HookName, hook: unknown): void {
  const place = (): void => {
    const others = [route[name] ?? []].flat().filter((other) => other !== hook)
    Object.assign(route, { [name]: [...others, hook] })
  }
  place()
  queueMicrotask(place)
}
