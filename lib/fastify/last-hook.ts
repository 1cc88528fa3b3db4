import type { RouteOptions } from 'fastify'

/**
 * Adds an onSend hook after all others of the route, and one that gets the payload before each of them.
 * Fastify runs the application's own hooks before those of the route.
 */
export function addOnSend (route: RouteOptions, { watch, last }: { watch: unknown, last: unknown }): void {
  const place = (): void => {
    const others = [route.onSend ?? []].flat().filter((other: unknown) => other !== watch && other !== last)
    Object.assign(route, { onSend: [...others.flatMap((other) => [watch, other]), last] })
  }
  place()
  queueMicrotask(place)
}

type HookName = 'onRequest' | 'preSerialization' | 'onError' | 'onResponse' | 'onSend'

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
