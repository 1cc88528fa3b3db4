import type { FastifyReply } from 'fastify'
import { now } from '../entry/clock.js'
import { interceptReply, releaseReply, type HeaderInterceptor } from '../fastify/intercept-reply.js'
import { headersOf, putHeaders } from '../fastify/private-state.js'
import { textOf, type HandlerHeaders, type Headers } from '../http/headers.js'
import { publishDecision } from '../observe/decide.js'
import { resolve } from './cached-handler.js'
import type { Exchange, Hit } from './exchange.js'
import { sentOn, type Sent } from './fill/answer.js'
import type { FillContext } from './fill/context.js'
import { Fill } from './fill/life.js'
import { assess, judge } from './fill/storability.js'
import { headersFor, publishHit } from './hit.js'
import { publishUnstored } from './pass-through.js'
import { isPlainData } from './plain-data.js'
import { announce } from './response-stage.js'
import { detailOfFill } from './settling.js'

/**
 * Gives a value that code of the application makes a response of, such as an interceptor, on every
 * HIT: the stored one, or what `run` makes. It is kept as JSON.
 * @param ownsReply whether all that happens to the reply meanwhile belongs to the value, and is kept with
 *   it. Otherwise a value that comes with a header or a status is not kept.
 */
export async function cachedValue (exchange: Exchange, run: () => unknown, ownsReply: boolean): Promise<unknown> {
  const resolved = await resolve(exchange, exchange.request.method !== 'HEAD')
  switch (resolved.outcome) {
    case 'hit': return storedValue(exchange, resolved, ownsReply)
    case 'fill': return await fillValue(exchange, resolved, run, ownsReply)
    case 'refused': return await run()
    case 'failed':
      if ('error' in resolved.cause) throw resolved.cause.error
      return await run()
    default:
      announce(exchange, 'MISS', publishUnstored(exchange, resolved))
      return await run()
  }
}

function storedValue (exchange: Exchange, hit: Hit, ownsReply: boolean): unknown {
  const { reply } = exchange
  const { entry } = hit
  if (ownsReply) {
    putHeaders(reply, headersFor(entry, reply))
    reply.code(entry.status)
  }
  announce(exchange, 'HIT', publishHit(exchange, hit))
  // Parsed for each request: whoever gets it may change it.
  return entry.kind === 'empty' ? undefined : JSON.parse(entry.text ?? entry.body.toString())
}

async function fillValue (
  exchange: Exchange, context: FillContext, run: () => unknown, ownsReply: boolean
): Promise<unknown> {
  const { route, request, reply } = exchange
  const fill = new Fill(route, request, context)
  const noted = new NotedReply(fill, reply)
  if (ownsReply) interceptReply(reply, noted)
  let stored = false
  try {
    const value = await run()
    stored = store(exchange, fill, value, noted.sent(value, ownsReply))
    return value
  } catch (error) {
    fill.threw({ error })
    throw error
  } finally {
    if (ownsReply) releaseReply(reply)
    if (!stored) fill.finish(undefined)
    const { forwarded, key } = context
    const decided = { outcome: 'miss', forwarded, detail: detailOfFill(fill), stored, key } as const
    const status = publishDecision(exchange, decided)
    if (!reply.sent) announce(exchange, 'MISS', status)
  }
}

/** Stores the value if it may be stored; says whether it is. */
function store (exchange: Exchange, fill: Fill, value: unknown, sent: Sent | undefined): boolean {
  if (sent === undefined) return false
  const { refusal, freshness } = assess(exchange.route.policy, sent, Date.now())
  fill.refuse(refusal)
  if (fill.refusal !== undefined) return false
  const judged = judge(exchange, value, freshness)
  fill.refuse(judged.refusal)
  if (fill.refusal !== undefined) return false
  return fill.finish({
    sent,
    payload: value,
    freshness: judged.freshness,
    sentAt: now(),
    sentAtMonotonic: performance.now(),
    vary: [],
    defaultHeaders: {}
  })
}

/** Notes what is done to a reply while a value is made. */
class NotedReply implements HeaderInterceptor {
  readonly #fill: Fill
  readonly #reply: FastifyReply
  readonly #status: number
  readonly #headers: HandlerHeaders

  constructor (fill: Fill, reply: FastifyReply) {
    this.#fill = fill
    this.#reply = reply
    this.#status = reply.statusCode
    this.#headers = { before: headersOf(reply), set: new Set(), removed: new Set() }
  }

  sends (payload: unknown): unknown {
    this.#fill.refuse('sent')
    return payload
  }

  setsHeader (name: string): void {
    this.#headers.set.add(name)
  }

  removesHeader (name: string): void {
    this.#headers.removed.add(name)
  }

  setsTrailer (): void {
    this.#fill.refuse('trailer')
  }

  /** The value with what was done for it; undefined if it cannot be kept. */
  sent (value: unknown, ownsReply: boolean): Sent | undefined {
    const reply = this.#reply
    if (value !== undefined && !isPlainData(value)) this.#refuse(reply)
    if (reply.sent) this.#fill.refuse('sent')
    if (this.#fill.refusal !== undefined) return undefined
    const kind = value === undefined ? 'empty' : 'text'
    const text = value === undefined ? '' : JSON.stringify(value)
    const sent = sentOn(reply, this.#headers, { kind, body: Buffer.from(text), text, isSerialized: true })
    // Those that were there before are not the value's.
    const headers = this.#changed(sent.headers)
    if (ownsReply) return { ...sent, headers }
    if (Object.keys(headers).length === 0 && sent.own.removed === undefined && sent.status === this.#status) {
      return { ...sent, headers, status: 200 }
    }
    this.#fill.refuse('reply')
    return undefined
  }

  #refuse ({ request }: FastifyReply): void {
    const { runtime, name } = this.#fill.route
    this.#fill.refuse('not-plain')
    runtime.log.notPlain(request.log, name)
  }

  #changed (after: Headers): Headers {
    const { before } = this.#headers
    const { responseHeader } = this.#fill.route.runtime
    return Object.fromEntries(Object.entries(after).filter(([name, value]) =>
      name !== 'cache-status' && name !== responseHeader && textOf(before[name]) !== textOf(value)))
  }
}
