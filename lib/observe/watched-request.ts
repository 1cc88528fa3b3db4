import type { FastifyRequest } from 'fastify'

/** The same for whoever asks, or of no weight for an answer. */
const HARMLESS = new Set(['log', 'method', 'server', 'routeOptions', 'is404', 'signal', 'validationError'])

/** Parts of a request of which each name counts on its own. */
const PARTS: Readonly<Record<string, string>> = {
  headers: 'header', cookies: 'cookie', query: 'parameter', params: 'path parameter'
}

/** Told of each thing that is read, by a name such as `header accept` or `request.user`. */
export type Note = (read: string, value: unknown) => void

/** The request for somebody whose reads are noted. For development: it is another object than the request itself. */
export function watchedRequest (request: FastifyRequest, note: Note): FastifyRequest {
  const parts = new Map<string, object>()
  return new Proxy(request, {
    get (target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof name === 'symbol' || typeof value === 'function' || HARMLESS.has(name) || !(name in target)) return value
      const part = PARTS[name]
      if (part !== undefined && typeof value === 'object' && value !== null) {
        if (!parts.has(name)) parts.set(name, watchedPart(value, part, note))
        return parts.get(name)
      }
      note(`request.${name}`, value)
      return value
    },
    // Without the proxy as receiver, so that setters and private state find what they know.
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
