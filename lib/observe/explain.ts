import { createHash } from 'node:crypto'
import type { FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { CacheStatus } from '../http/cache-status.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import type { Identify, Identity } from '../key/cache-key.js'
import type { Look } from '../read/lookup.js'
import { watchedRequest } from './watched-request.js'

/** Where a request on a cached route carries its explanation, with `explain: true`. */
export const kExplanation = Symbol('fastify-api-cache.explanation')

declare module 'fastify' {
  interface FastifyRequest {
    [kExplanation]?: Explanation
  }
}

/** Different things of one route that are reported at the most: a handler may read headers by names from outside. */
const MAX_REPORTED = 100
const MAX_SHOWN = 512
/** Headers and parameters whose values are nobody's business. */
const SECRET = /auth|cookie|token|key|secret|session/i

/** What `explain: true` adds to one route. */
export class Explainer {
  readonly policy: CompiledReadPolicy
  readonly route: string
  readonly #reported = new Set<string>()

  constructor (policy: CompiledReadPolicy, route: string) {
    this.policy = policy
    this.route = route
  }

  /** `proceed`, after the explanation of this request has learned what was found. */
  looking<R> (request: FastifyRequest, proceed: (look: Look) => R): (look: Look) => R {
    const explanation = new Explanation(this, request)
    request[kExplanation] = explanation
    return (look) => {
      explanation.look = look
      return proceed(look)
    }
  }

  /** `identify`, noting what goes into the key. */
  identifying (identify: Identify): Identify {
    return (request) => identify(watchedRequest(request, (read) => request[kExplanation]?.covered.add(read)), request)
  }

  /** The handler, given a request that notes what is read of it while its answer is one for the store. */
  watching (handler: RouteHandlerMethod): RouteHandlerMethod {
    return function watched (request, reply) {
      const explanation = request[kExplanation]
      return handler.call(this, explanation?.fills === true ? watchedRequest(request, explanation.note) : request, reply)
    }
  }

  /** Says once for each thing that this route's answers depend on it unnoticed. */
  report (request: FastifyRequest, reads: readonly string[]): void {
    const fresh = reads.filter((read) => !this.#reported.has(read)).slice(0, MAX_REPORTED - this.#reported.size)
    if (fresh.length === 0) return
    for (const read of fresh) this.#reported.add(read)
    request.log.warn({ route: this.route, reads: fresh },
      'api cache: the handler read what its key does not cover, so others may get an answer made for this request; name it in scope, vary, query or key, or answer with Cache-Control: private')
  }
}

/** Why one request got what it got. */
export class Explanation {
  /** What the key is made of. */
  readonly covered = new Set<string>()
  look: Look | undefined
  readonly #explainer: Explainer
  readonly #request: FastifyRequest
  readonly #reads = new Map<string, unknown>()
  #variesOn: readonly string[] | undefined

  constructor (explainer: Explainer, request: FastifyRequest) {
    this.#explainer = explainer
    this.#request = request
  }

  /** Whether the handler runs for an answer that others may get. */
  get fills (): boolean {
    return this.look !== undefined && 'miss' in this.look && this.#request.method === 'GET'
  }

  /** Notes what the handler read. */
  readonly note = (read: string, value: unknown): void => {
    this.#reads.set(read, value)
    if (this.#variesOn !== undefined) this.#report([[read, value]])
  }

  /** The handler's answer may be stored, and said by itself what it varies on. */
  filled (variesOn: readonly string[]): void {
    this.#variesOn = variesOn
    this.#report([...this.#reads])
  }

  /** Logs what became of the request; returns what Cache-Status says of it. */
  tell (status: CacheStatus): CacheStatus {
    const { look } = this
    const { route, policy } = this.#explainer
    const decision = status.hit || status.collapsed ? 'HIT' : 'MISS'
    const shown = look !== undefined && 'identity' in look ? shownKey(look.identity) : undefined
    const scope = typeof policy.scope === 'string' ? policy.scope : (shown?.scope ?? 'none')
    this.#request.log.info({ route, decision, ...status, ...shown, scope }, `api cache: ${decision}`)
    const detail = [status.detail, `scope ${scope}`].filter((part) => part !== undefined).join(', ')
    return { ...status, key: shown?.key, detail }
  }

  #report (reads: ReadonlyArray<readonly [string, unknown]>): void {
    const uncovered = reads.filter(([read, value]) => !this.#covers(read, value)).map(([read]) => read)
    this.#explainer.report(this.#request, uncovered)
  }

  #covers (read: string, value: unknown): boolean {
    const { covered } = this
    if (covered.has(read)) return true
    const { key, keepsParameter } = this.#explainer.policy
    const name = read.slice(read.lastIndexOf(' ') + 1)
    const cookies = covered.has('header cookie')
    if (read.startsWith('header ')) return this.#variesOn!.includes(name)
    if (read.startsWith('cookie ') || read === 'request.session') return cookies
    if (read.startsWith('parameter ')) return key === undefined && keepsParameter?.(read.slice('parameter '.length)) !== false
    if (read.startsWith('path parameter ')) return key === undefined
    if (read === 'request.host' || read === 'request.hostname') {
      return covered.has('header host') && (this.#request.headers['x-forwarded-host'] === undefined || covered.has('header x-forwarded-host'))
    }
    if (read === 'request.body') return value === undefined
    // Nobody is known, where whoever brings credentials gets no entry.
    return (value === undefined || value === null) && cookies && covered.has('header authorization')
  }
}

/** A key and its parts, with a hash in place of what says who asked. */
function shownKey ({ key, text }: Identity): { key: string, namespace: string, parts: string[], scope: string | undefined } {
  const namespaceAt = key.indexOf('|') + 1
  const identityAt = key.indexOf(':', namespaceAt) + 1
  let scope: string | undefined
  let hides = false
  const shown = text.replace(/([ ?&])([^ ?&:=]+):?=([^ &]*)/g, (part: string, before: string, name: string, value: string) => {
    const isScope = before === ' ' && name === 'scope'
    if (!isScope && !SECRET.test(name)) return part
    hides = true
    const hash = `~${createHash('sha256').update(value).digest('base64url').slice(0, 8)}`
    if (isScope) scope = hash
    return `${before}${name}=${hash}`
  })
  return {
    key: hides ? (key.slice(0, identityAt) + shown).slice(0, MAX_SHOWN) : key,
    namespace: key.slice(namespaceAt, identityAt - 1),
    // Of what stands behind a space only the path begins with a slash.
    parts: shown.split(/ (?!\/)/).map((part) => part.slice(0, MAX_SHOWN)),
    scope
  }
}
