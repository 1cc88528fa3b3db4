import { createHash } from 'node:crypto'
import { Transform, type Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EarlyHook, Field, Hook, LateHook, PayloadHook } from './description.js'

/** What the hooks behind the handler did to one response. */
export interface Trace {
  /** Whether one changed the body. */
  changed: boolean
  /** Whether one gave it a content coding. */
  encoded: boolean
  /** Whether one set the ETag, over the body that leaves. */
  taggedLate: boolean
}

export const untouched = (): Trace => ({ changed: false, encoded: false, taggedLate: false })

/** The best of the languages that the application speaks; of two that are as good, the first in the alphabet. */
function language (accepted: string | undefined): string {
  const wanted = (accepted ?? '').split(',').map((member) => {
    const [name = '', quality = 'q=1'] = member.split(';')
    return { name: name.trim(), quality: Number(quality.trim().slice(2)) }
  })
  const spoken = wanted.filter(({ name }) => name === 'de' || name === 'en')
  spoken.sort((a, b) => b.quality - a.quality || (a.name < b.name ? -1 : 1))
  return spoken[0]?.name ?? 'none'
}

export function look (request: FastifyRequest, field: Field): string | null {
  if (field === 'host') return request.host
  if (field === 'protocol') return request.protocol
  if (field === 'accept-language') return language(request.headers[field])
  if (field === 'accept') return request.headers.accept === 'text/loud' ? 'loud' : 'plain'
  return header(request, field) ?? null
}

const header = (request: FastifyRequest, name: string): string | undefined => request.headers[name] as string | undefined
const role = (request: FastifyRequest): string | undefined => header(request, 'x-role')

export function addVary (reply: FastifyReply, ...names: string[]): void {
  if (names.length === 0) return
  const before = reply.getHeader('vary')
  reply.header('vary', [...before === undefined ? [] : [String(before)], ...names].join(', '))
}

export const tagOf = (letter: string, body: string | Buffer): string =>
  `"${letter}-${createHash('sha256').update(body).digest('base64url').slice(0, 12)}"`

const setNonce = (request: FastifyRequest, reply: FastifyReply): void => {
  reply.header('content-security-policy', `nonce-${header(request, 'x-nonce') ?? 'none'}`)
}
const linkToItself = (request: FastifyRequest, reply: FastifyReply): void => {
  reply.header('link', `<${request.protocol}://${request.host}${request.url}>; rel=canonical`)
}
const onlyFor = (who: string, act: (reply: FastifyReply) => void) => (request: FastifyRequest, reply: FastifyReply): void => {
  if (role(request) === who) act(reply)
}

type Early = (request: FastifyRequest, reply: FastifyReply) => unknown

const EARLY: Record<EarlyHook['does'], Early> = {
  'allows the origin' (request, reply) {
    addVary(reply, 'Origin')
    const origin = header(request, 'origin')
    if (origin !== undefined) reply.header('access-control-allow-origin', origin)
  },
  'sets a nonce': setNonce,
  'links to itself': linkToItself,
  'sets Content-Language' (request, reply) { reply.header('content-language', look(request, 'accept-language')!) },
  'sets x-hooked for admins': onlyFor('admin', (reply) => { reply.header('x-hooked', 'admin') }),
  'sets a weak ETag' (_request, reply) { reply.header('etag', 'W/"any"') },
  'sets Cache-Control for admins': onlyFor('admin', (reply) => { reply.header('cache-control', 'private, max-age=5') }),
  'sets a cookie for admins': onlyFor('admin', (reply) => { reply.header('set-cookie', 'role=admin') }),
  'sets 203 for admins': onlyFor('admin', (reply) => { reply.code(203) }),
  'chooses a serializer' (request, reply) {
    if (header(request, 'accept') !== 'text/loud') return
    reply.type('text/loud').serializer((payload) =>
      (typeof payload === 'string' ? payload : JSON.stringify(payload)).toUpperCase())
  },
  'turns guests away' (request, reply) {
    if (role(request) === 'guest') return reply.code(401).send({ guests: 'away' })
    return undefined
  }
}

type Late = (request: FastifyRequest, reply: FastifyReply, payload: unknown, trace: Trace) => unknown

const LATE: Record<LateHook['does'], Late> = {
  'hides salaries' (request, _reply, payload, trace) {
    if (typeof payload !== 'string' || role(request) === 'admin') return payload
    const left = payload.replace(/,"salary":\d+/, '')
    if (left !== payload) trace.changed = true
    return left
  },
  'signs' (request, _reply, payload, trace) {
    const signature = `\n-- for ${role(request) ?? 'anyone'}`
    if (typeof payload === 'string') return changed(payload + signature, trace)
    if (Buffer.isBuffer(payload)) return changed(Buffer.concat([payload, Buffer.from(signature)]), trace)
    return isReadable(payload) ? changed(payload.pipe(appending(signature)), trace) : payload
  },
  'reverses' (request, reply, payload, trace) {
    if (!(typeof payload === 'string' || Buffer.isBuffer(payload))) return payload
    addVary(reply, 'Accept-Encoding')
    if (header(request, 'accept-encoding') !== 'reverse') return payload
    trace.encoded = true
    reply.header('content-encoding', 'reverse').removeHeader('content-length')
    return changed(Buffer.from(payload).reverse(), trace)
  },
  'names the payload' (_request, reply, payload) {
    reply.header('x-payload', kindOf(payload))
    return payload
  },
  'sets a nonce': doing(setNonce),
  'links to itself': doing(linkToItself),
  'hides x-internal': doing((request, reply) => { if (role(request) !== 'admin') reply.removeHeader('x-internal') }),
  'sets 203 for admins': doing(onlyFor('admin', (reply) => { reply.code(203) })),
  'refuses guests' (request, reply, payload, trace) {
    if (role(request) !== 'guest') return payload
    reply.code(403).removeHeader('content-length')
    return changed('no guests', trace)
  },
  'throws for guests': doing((request) => { if (role(request) === 'guest') throw new Error('no guests') }),
  'sets Cache-Control if nobody did': doing((_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'private, max-age=7')
  }),
  'sets no-store for admins': doing(onlyFor('admin', (reply) => { reply.header('cache-control', 'no-store') })),
  'sets a cookie for admins': doing(onlyFor('admin', (reply) => { reply.header('set-cookie', 'late=admin') })),
  'varies on Accept-Encoding': doing((_request, reply) => { addVary(reply, 'Accept-Encoding') }),
  'sets an ETag if nobody did' (_request, reply, payload, trace) {
    if (reply.hasHeader('etag') || !(typeof payload === 'string' || Buffer.isBuffer(payload))) return payload
    trace.taggedLate = true
    reply.header('etag', tagOf('o', payload))
    return payload
  }
}

function doing (act: Early): Late {
  return (request, reply, payload) => {
    act(request, reply)
    return payload
  }
}

function changed<T> (payload: T, trace: Trace): T {
  trace.changed = true
  return payload
}

const isReadable = (payload: unknown): payload is Readable =>
  typeof payload === 'object' && payload !== null && 'pipe' in payload

function appending (text: string): Transform {
  return new Transform({
    transform (chunk, _encoding, done) { done(null, chunk) },
    flush (done) { done(null, text) }
  })
}

function kindOf (payload: unknown): string {
  if (payload === undefined || payload === null) return 'nothing'
  if (typeof payload === 'string') return 'text'
  if (Buffer.isBuffer(payload)) return 'bytes'
  return isReadable(payload) ? 'stream' : payload instanceof ReadableStream ? 'web stream' : 'Response'
}

export type HookFunction = (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown>

/** The function that Fastify gets for a hook. */
export function functionOf (hook: Hook, trace: Trace): HookFunction {
  if (hook.at === 'onSend') return async (request, reply, payload) => LATE[hook.does](request, reply, payload, trace)
  if (hook.at === 'preSerialization') return async (request, _reply, payload) => read(hook, request, payload)
  return async (request, reply) => EARLY[hook.does](request, reply)
}

const read = ({ reads }: PayloadHook, request: FastifyRequest, payload: unknown): unknown =>
  ({ ...payload as object, hooked: look(request, reads) })
