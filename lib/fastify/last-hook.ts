import type { RouteOptions } from 'fastify'

/**
 * Adds an onSend hook after all others of the route, and one that gets the payload before each of them.
 * Fastify runs the application's own hooks before those of the route.
 */
export function addOnSend (route: RouteOptions, hooks: OnSendHooks): void {
  const place = (): void => {
    Object.assign(route, { onSend: aroundOnSend([route.onSend ?? []].flat(), hooks) })
  }
  place()
  queueMicrotask(place)
}

export interface OnSendHooks {
  /** Gets the payload before each other hook. */
  readonly watch: unknown
  readonly last: unknown
}

/** A list of onSend hooks with these around them. */
export function aroundOnSend (hooks: readonly unknown[], { watch, last }: OnSendHooks): unknown[] {
  const others = hooks.filter((hook) => hook !== watch && hook !== last)
  return [...others.flatMap((other) => [watch, other]), last]
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
