import { createHash } from 'node:crypto'
import type { FastifyRequest, RouteHandlerMethod } from 'fastify'
import { wrapPreSerialization, type PreSerializationHook } from '../fastify/private-state.js'
import type { CacheStatus } from '../http/cache-status.js'
import type { CacheKey, KeyOf } from '../key/cache-key.js'
import { cookieTest } from '../key/credentials.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import type { Log } from './log.js'
import { watchedRequest } from './watched-request.js'

/** The explanation of a request on a cached route, with `explain: true`. */
export const kExplanation = Symbol('fastify-api-cache.explanation')

declare module 'fastify' {
  interface FastifyRequest {
    [kExplanation]?: Explanation
  }
}

/** Most different reads that are reported per route: a handler may read headers whose names come from a request. */
const MAX_REPORTED = 100
const MAX_SHOWN = 512
/** A read of one header, cookie or parameter, as `watchedRequest` names it. */
const PART_READ = /^(header|cookie|parameter|path parameter) (.*)$/s

/** What `explain: true` adds to one route. */
export class Explainer {
  readonly policy: CompiledReadPolicy
  readonly route: string
  readonly #log: Log
  readonly #reported = new Set<string>()

  constructor (policy: CompiledReadPolicy, route: string, log: Log) {
    this.policy = policy
    this.route = route
    this.#log = log
  }

  /** Wraps `keyOf` so that it notes what goes into the key. */
  noting (keyOf: KeyOf): KeyOf {
    return (request) => {
      const { covered } = this.of(request)
      return keyOf(watchedRequest(request, (read) => covered.add(read)), request)
    }
  }

  /** The explanation of a request. */
  of (request: FastifyRequest): Explanation {
    request[kExplanation] ??= new Explanation(this, request)
    return request[kExplanation]
  }

  /** Logs the decision about a request; returns its Cache-Status with the key and more detail. */
  explain (request: FastifyRequest, status: CacheStatus, key: CacheKey | undefined): CacheStatus {
    const { route, policy } = this
    // A failure that was shared has no time to live.
    const decision = status.hit === true || status.ttl !== undefined ? 'HIT' : 'MISS'
    const shown = key && shownKey(key)
    const scope = typeof policy.scope === 'string' ? policy.scope : (shown?.scope ?? 'none')
    this.#log.explanation(request.log, decision, { route, decision, ...status, ...shown, scope })
    const detail = [status.detail, `scope ${scope}`].filter((part) => part !== undefined).join(', ')
    return { ...status, key: shown?.key, detail }
  }

  /** Wraps the handler so that a fill notes what it and the preSerialization hooks read of the request. */
  watching (handler: RouteHandlerMethod): RouteHandlerMethod {
    return function watched (request, reply) {
      const given = givenTo(request)
      if (given !== request) wrapPreSerialization(request, watchingHook)
      return handler.call(this, given, reply)
    }
  }

  /** Logs each read that is not part of the key, once per route. */
  report (request: FastifyRequest, reads: readonly string[]): void {
    const fresh = reads.filter((read) => !this.#reported.has(read)).slice(0, MAX_REPORTED - this.#reported.size)
    if (fresh.length === 0) return
    for (const read of fresh) this.#reported.add(read)
    this.#log.uncoveredReads(request.log, this.route, fresh)
  }
}

/** A fill's request is watched. */
function givenTo (request: FastifyRequest): FastifyRequest {
  const explanation = request[kExplanation]
  return explanation?.fills === true ? watchedRequest(request, explanation.note) : request
}

function watchingHook (hook: PreSerializationHook): PreSerializationHook {
  return function watched (request, ...rest) {
    return hook.call(this, givenTo(request), ...rest)
  }
}

/** What is noted to explain one request. */
export class Explanation {
  /** What was read to make the key. */
  readonly covered = new Set<string>()
  /** Whether the handler runs to fill the cache. */
  fills = false
  readonly #explainer: Explainer
  readonly #request: FastifyRequest
  readonly #reads = new Map<string, unknown>()
  #vary: readonly string[] | undefined

  constructor (explainer: Explainer, request: FastifyRequest) {
    this.#explainer = explainer
    this.#request = request
  }

  /** Notes what was read of the request. */
  readonly note = (read: string, value: unknown): void => {
    this.#reads.set(read, value)
    if (this.#vary !== undefined) this.#report([[read, value]])
  }

  /** The response may be stored; `vary` are the request headers that its Vary nominates. */
  filled (vary: readonly string[]): void {
    this.#vary = vary
    this.#report([...this.#reads])
  }

  #report (reads: ReadonlyArray<readonly [string, unknown]>): void {
    const uncovered = reads.filter(([read, value]) => !this.#covers(read, value)).map(([read]) => read)
    this.#explainer.report(this.#request, uncovered)
  }

  #covers (read: string, value: unknown): boolean {
    const { covered } = this
    if (covered.has(read)) return true
    const match = PART_READ.exec(read)
    if (match === null) return this.#coversProperty(read, value)
    const [, part, name] = match
    const { key, keepsParameter } = this.#explainer.policy
    switch (part) {
      case 'header': return this.#vary!.includes(name!) || this.#isHost(name!, value)
      case 'cookie': return covered.has('header cookie') || (value === undefined && this.#isCredential(name!))
      case 'path parameter': return key === undefined
      default: return key === undefined && keepsParameter?.(name!) !== false
    }
  }

  #coversProperty (read: string, value: unknown): boolean {
    const { covered } = this
    switch (read) {
      case 'request.session': return covered.has('header cookie')
      case 'request.body': return value === undefined
      case 'request.host':
      case 'request.hostname':
      case 'request.port': return this.#coversHost()
    }
    // A property such as request.user is empty for all requests without credentials.
    const isEmpty = value === undefined || value === null
    const isWithoutCookies = covered.has('header cookie') || this.#explainer.policy.scope === 'anonymous'
    return isEmpty && isWithoutCookies && covered.has('header authorization')
  }

  /** Whether a request with this cookie would not have been stored. */
  #isCredential (cookie: string): boolean {
    const { scope, credentials: { cookies } } = this.#explainer.policy
    return scope === 'anonymous' && cookieTest(cookies)(cookie)
  }

  /** Whether a header is only another way to read the host that the key holds. */
  #isHost (name: string, value: unknown): boolean {
    const isHost = name === 'host' || name === ':authority'
    return isHost && this.covered.has('request.host') && value === this.#request.host
  }

  #coversHost (): boolean {
    if (this.covered.has('request.host')) return true
    const isForwarded = this.#request.headers['x-forwarded-host'] !== undefined
    return this.covered.has('header host') && (!isForwarded || this.covered.has('header x-forwarded-host'))
  }
}

interface ShownKey {
  key: string
  namespace: string
  parts: string[]
  scope: string | undefined
}

const SCOPE = / scope=([^ ]*)/

/** A key and its parts for the log, with a hash instead of the scope. Credentials are hashed in the key itself. */
function shownKey ({ key, text }: CacheKey): ShownKey {
  const namespaceAt = key.indexOf('|') + 1
  const identityAt = key.indexOf(':', namespaceAt) + 1
  let scope: string | undefined
  const shown = text.replace(SCOPE, (_part, value: string) => {
    scope = `~${createHash('sha256').update(value).digest('base64url').slice(0, 8)}`
    return ` scope=${scope}`
  })
  return {
    key: scope === undefined ? key : (key.slice(0, identityAt) + shown).slice(0, MAX_SHOWN),
    namespace: key.slice(namespaceAt, identityAt - 1),
    // Only the path begins with a slash after a space.
    parts: shown.split(/ (?!\/)/).map((part) => part.slice(0, MAX_SHOWN)),
    scope
  }
}
