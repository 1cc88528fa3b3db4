import type { FastifyRequest } from 'fastify'

/** Properties that are the same for all users, or that do not affect a response. */
const HARMLESS = new Set(['log', 'method', 'server', 'routeOptions', 'is404', 'signal', 'validationError'])

/** Objects on a request whose properties are noted one by one. */
const PARTS: Readonly<Record<string, string>> = {
  headers: 'header', cookies: 'cookie', query: 'parameter', params: 'path parameter'
}

/** Called for each property that is read, with a name such as `header accept` or `request.user`. */
export type Note = (read: string, value: unknown) => void

/** A proxy of the request that notes what is read. Only for development: it is not the same object as the request. */
export function watchedRequest (request: FastifyRequest, note: Note): FastifyRequest {
  const parts = new Map<string, object>()
  return new Proxy(request, {
    get (target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name === 'symbol' || typeof value === 'function') return value
      if (HARMLESS.has(name) || !(name in target)) return value
      const part = PARTS[name]
      if (part !== undefined && typeof value === 'object' && value !== null) {
        if (!parts.has(name)) parts.set(name, watchedPart(value, part, note))
        return parts.get(name)
      }
      note(`request.${name}`, value)
      return value
    },
    // Without the proxy as receiver, because setters may need the private state of the request itself.
    set: (target, name, value) => Reflect.set(target, name, value)
  })
}

function watchedPart (values: object, part: string, note: Note): object {
  return new Proxy(values, {
    get (target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name === 'string' && typeof value !== 'function') note(`${part} ${name}`, value)
      return value
    },
    has (target, name) {
      const has = Reflect.has(target, name)
      if (typeof name === 'string') note(`${part} ${name}`, has ? Reflect.get(target, name) : undefined)
      return has
    }
  })
}
