import type { Readable } from 'node:stream'

/*
 * The kinds of payload that Fastify recognizes by their shape.
 */

export const isNodeStream = (payload: unknown): payload is Readable => hasMethod(payload, 'pipe')

export const isWebStream = (payload: unknown): payload is ReadableStream => hasMethod(payload, 'getReader')

/** Whether a payload is a `Response` of the Fetch API. */
export const isResponse = (payload: unknown): payload is Response =>
  typeof payload === 'object' && Object.prototype.toString.call(payload) === '[object Response]'

const hasMethod = (payload: unknown, name: string): boolean =>
  typeof payload === 'object' && payload !== null && typeof (payload as Record<string, unknown>)[name] === 'function'
