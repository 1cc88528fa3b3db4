import type { FastifyRequest, RouteOptions } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Core } from '../runtime.js'
import type { CacheControl } from '../http/cache-control.js'
import type { Forwarded } from '../http/cache-status.js'
import { requestAccepts, requestDirectives } from '../http/request-directives.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { UNAVAILABLE, type Unavailable } from '../store/guarded-store.js'
import { freshnessOf, type Entry } from '../entry/entry.js'
import type { Lookup } from '../store/contract.js'
import { Explainer } from '../observe/explain.js'
import type { Landed } from './coalesce/fills-in-flight.js'
import { identifier, routeName, variant, type Identify, type Identity } from '../key/cache-key.js'

/** Keys whose answers are known to vary, and on what: saves the second look. */
const MAX_VARYING = 10_000

/** What looking for an answer came to. */
export type Look =
  | { readonly entry: Entry, readonly identity: Identity, /** When it was found, in milliseconds since 1970. */ readonly now: number }
  | { readonly miss: Forwarded, readonly detail?: string, readonly identity: Identity, readonly versions: ReadonlyArray<string | undefined> }
  | { readonly bypass: string, readonly onlyIfCached?: boolean }

/** Finds the entry that answers a request on one route. */
export class Reader {
  readonly policy: CompiledReadPolicy
  readonly route: string
  /** With `explain: true`. */
  readonly explainer: Explainer | undefined
  readonly #core: Core
  readonly #identify: Identify
  readonly #varying = new LRUCache<string, readonly string[]>({ max: MAX_VARYING })

  constructor (policy: CompiledReadPolicy, route: RouteOptions, core: Core) {
    this.policy = policy
    this.route = routeName(route)
    this.#core = core
    this.explainer = core.explains ? new Explainer(policy, this.route) : undefined
    const identify = identifier(policy, route, core.keyspace)
    this.#identify = this.explainer?.identifying(identify) ?? identify
  }

  /** What `proceed` makes of what there is for a request: at once where the store answers at once. */
  look<R> (request: FastifyRequest, proceed: (look: Look) => R): R | Promise<R> {
    if (this.explainer !== undefined) proceed = this.explainer.looking(request, proceed)
    const directives = this.policy.obeysRequest ? requestDirectives(request.headers) : undefined
    const onlyIfCached = directives?.onlyIfCached === true
    if (directives?.noStore) return proceed({ bypass: 'no-store', onlyIfCached })
    const identity = this.#identify(request)
    if ('bypass' in identity) {
      if ('fault' in identity) this.#core.complain(request.log, this.route, identity.fault)
      return proceed({ bypass: identity.bypass, onlyIfCached })
    }
    const variesOn = this.#varying.size === 0 ? undefined : this.#varying.get(identity.key)
    return this.#lookUp(variesOn === undefined ? identity : this.#varied(identity, variesOn, request), request, directives, proceed)
  }

  /** Looks once more, for a request that has waited for another process. */
  async lookAgain (identity: Identity, request: FastifyRequest): Promise<Look> {
    return await this.#lookUp(identity, request, undefined, (look) => look)
  }

  /**
   * Whether an entry that was waited for is current for a request that came while it was filled.
   * The versions of its flight are; of its payload's tags nobody has asked yet.
   */
  async confirms ({ versions }: Entry, identity: Identity): Promise<boolean> {
    const others = without(versions, identity.versions)
    if (others.length === 0) return true
    const current = await this.#core.door.pass('current', (store) => store.current(others))
    return current !== UNAVAILABLE && !this.#core.invalidator.blocks(others) &&
      others.every((version, index) => versions[version] === current[index])
  }

  /** The identity of the variant that a request asks for, once it is known what the answers vary on. */
  variantOf (identity: Identity, variesOn: readonly string[], request: FastifyRequest): Identity {
    const base = identity.base ?? identity
    if (variesOn.length === 0 && this.#varying.size === 0) return base
    if (variesOn.length === 0) this.#varying.delete(base.key)
    else this.#varying.set(base.key, variesOn)
    return this.#varied(base, variesOn, request)
  }

  /** Whether a fill that was waited for answers this request too, now that it is known what the answers vary on. */
  matches (identity: Identity, { key, entry }: Landed, request: FastifyRequest): boolean {
    const base = identity.base ?? identity
    return entry.route === this.route && this.#varied(base, this.#varying.get(base.key) ?? [], request).key === key
  }

  #varied (base: Identity, variesOn: readonly string[], request: FastifyRequest): Identity {
    if (variesOn.length === 0) return base
    let variants = ' vary:'
    for (const name of variesOn) variants += variant(request, name)
    return { key: this.#core.keyspace.entry(base.key, variants), versions: base.versions, text: base.text + variants, base }
  }

  #lookUp<R> (identity: Identity, request: FastifyRequest, directives: CacheControl | undefined, proceed: (look: Look) => R): R | Promise<R> {
    if (this.#core.invalidator.blocks(identity.versions)) {
      return proceed({ bypass: 'invalidating', onlyIfCached: directives?.onlyIfCached === true })
    }
    const { turnEnd } = this.#core
    return turnEnd === undefined
      ? this.#ask(identity, request, directives, proceed)
      : turnEnd.over.then(() => this.#ask(identity, request, directives, proceed))
  }

  #ask<R> (identity: Identity, request: FastifyRequest, directives: CacheControl | undefined, proceed: (look: Look) => R): R | Promise<R> {
    return this.#core.door.ask<Lookup, R | Promise<R>>('lookup', (store) => store.lookup(identity.key, identity.versions),
      (lookup) => this.#judge(identity, lookup, request, directives, proceed)) as R | Promise<R>
  }

  #judge<R> (identity: Identity, lookup: Lookup | Unavailable, request: FastifyRequest, directives: CacheControl | undefined, proceed: (look: Look) => R): R | Promise<R> {
    const onlyIfCached = directives?.onlyIfCached === true
    if (lookup === UNAVAILABLE) return proceed({ bypass: 'unavailable', onlyIfCached })
    if (this.#core.invalidator.blocks(identity.versions)) return proceed({ bypass: 'invalidating', onlyIfCached })
    const { entry, versions } = lookup
    const miss = (why: Forwarded, detail?: string): R =>
      proceed(onlyIfCached ? { bypass: 'miss', onlyIfCached } : { miss: why, detail, identity, versions })

    if (entry === undefined) return miss('uri-miss')
    if (entry.route !== this.route) return miss('uri-miss', 'other-route')
    const others = versionsBeside(entry, identity.versions, versions)
    if (others === undefined) return miss('stale', 'invalidated')
    const now = Date.now()
    if (freshnessOf(entry, now) <= 0) return miss('stale')
    if (directives !== undefined && !requestAccepts(directives, entry, now)) return miss('request')
    if (entry.variesOn !== undefined) {
      // A variant has none: a chain of such would never end.
      if (identity.base !== undefined) return miss('uri-miss')
      return this.#lookUp(this.variantOf(identity, entry.variesOn, request), request, directives, proceed)
    }
    if (others.length === 0) return proceed({ entry, identity, now })

    return this.#core.door.ask('current', (store) => store.current(others), (current) => {
      if (current === UNAVAILABLE || this.#core.invalidator.blocks(others)) return proceed({ bypass: 'unavailable', onlyIfCached })
      return others.every((version, index) => entry.versions[version] === current[index])
        ? proceed({ entry, identity, now })
        : miss('stale', 'invalidated')
    })
  }
}

/**
 * The versions of an entry that were not asked for together with it (tags of its payload): NONE
 * for most; undefined when one that was asked for is no longer the one it was filled under.
 */
function versionsBeside (entry: Entry, asked: readonly string[], current: ReadonlyArray<string | undefined>): readonly string[] | undefined {
  for (let index = 0; index < asked.length; index++) {
    const version = entry.versions[asked[index]!]
    // One without it was filled by a route that did not declare the tag yet.
    if (version === undefined || version !== current[index]) return undefined
  }
  // All that were asked for are among them, each once: mostly there are no others.
  return Object.keys(entry.versions).length === asked.length ? NONE : without(entry.versions, asked)
}

/** The keys of the versions that are not among `asked`. */
function without (versions: Entry['versions'], asked: readonly string[]): string[] {
  const known = new Set(asked)
  return Object.keys(versions).filter((version) => !known.has(version))
}

const NONE: readonly string[] = []
