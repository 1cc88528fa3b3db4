/*
 * An application, told in plain data: two Fastify applications are built from it, one with the plugin and
 * one without, and fast-check prints and shrinks it.
 */

/** What of a request a hook or a handler may read: a header, or what Fastify derives from several. */
export type Field = 'accept' | 'accept-language' | 'authorization' | 'host' | 'origin' | 'protocol' | 'x-role' | 'x-tenant'

/** Where hooks stand: at the root before or after the plugin, in the context of the route, on the route. */
export type Level = 'before the plugin' | 'after the plugin' | 'context' | 'route'

/** A hook before the handler. */
export interface EarlyHook {
  readonly at: 'onRequest' | 'preHandler'
  readonly level: Level
  readonly does: EarlyAction
}
export type EarlyAction =
  | 'allows the origin' | 'sets a nonce' | 'sets Content-Language' | 'sets x-hooked for admins' | 'sets a weak ETag'
  | 'sets Cache-Control for admins' | 'sets a cookie for admins' | 'chooses a serializer' | 'turns guests away'
  | 'sets 203 for admins' | 'links to itself'

/** A hook behind the handler that makes a part of the answer. */
export interface PayloadHook {
  readonly at: 'preSerialization'
  readonly level: Level
  readonly reads: Field
}

/** A hook behind the handler that runs for each response. */
export interface LateHook {
  readonly at: 'onSend'
  readonly level: Level
  readonly does: LateAction
}
export type LateAction =
  | 'hides salaries' | 'signs' | 'reverses' | 'names the payload' | 'sets a nonce' | 'hides x-internal' | 'links to itself'
  | 'sets 203 for admins' | 'refuses guests' | 'throws for guests' | 'sets Cache-Control if nobody did'
  | 'sets no-store for admins' | 'sets a cookie for admins' | 'sets an ETag if nobody did' | 'varies on Accept-Encoding'

export type Hook = EarlyHook | PayloadHook | LateHook

export type Sends = 'object' | 'text' | 'bytes' | 'stream' | 'web stream' | 'Response' | 'nothing'

export interface Handler {
  readonly sends: Sends
  /** What makes its body. */
  readonly reads: readonly Field[]
  readonly status: 200 | 203 | 404
  readonly throwsForGuests: boolean
  readonly etag: 'strong' | 'weak' | 'none'
  readonly lastModified: boolean
  readonly cacheControl: 'none' | 'max-age=60' | 'public, s-maxage=60' | 'no-cache' | 'no-store' | 'private'
  readonly expires: boolean
  readonly contentLanguage: boolean
  readonly internal: boolean
  /** Whether it adds to a header that a hook may have set, or removes it. */
  readonly hooked: 'leaves' | 'removes' | 'extends'
  /** Whether its Vary takes the place of what hooks said. */
  readonly vary: 'adds' | 'replaces'
  /** Whether it answers conditions and ranges by itself, as a file server does. */
  readonly answersConditions: boolean
}

/** Who names, in Vary or in the policy, a request header that shapes the answer. */
export type NamedBy = 'policy' | 'onRequest' | 'handler' | 'onSend'
export type Nameable = 'accept' | 'accept-language' | 'origin' | 'x-role'

export interface Policy {
  readonly scope: 'shared' | 'anonymous' | 'tenant'
  readonly host: boolean
  readonly clientExpire: 0 | 60
  readonly statuses: readonly number[]
  readonly coalesce: 'process' | 'fleet'
}

/** How two releases side by side differ; one release only, if they do not. */
export type Releases = 'one' | 'two revisions' | 'two revisions of the route' | 'two response schemas' | 'two applications'

export interface Application {
  readonly policy: Policy
  readonly trustProxy: boolean
  readonly releases: Releases
  readonly hooks: readonly Hook[]
  readonly handler: Handler
  readonly named: Readonly<Partial<Record<Nameable, NamedBy>>>
}

/** The headers of one client, with all its requests. */
export type Caller = Readonly<Record<string, string>>

export interface Asked {
  readonly release: number
  readonly method: 'GET' | 'HEAD'
  readonly path: string
  /** Which of the callers asks. */
  readonly caller: number
  /** Conditions, ranges, directives. `etag#0` stands for the ETag that was seen last, `etag#1` for the one before. */
  readonly headers: Readonly<Record<string, string>>
}

/** A write through one release, or requests that are sent at once. */
export type Step = { readonly write: number } | { readonly ask: readonly Asked[] }

export interface Sequence {
  readonly callers: readonly Caller[]
  readonly steps: readonly Step[]
}

/** The request headers that one of these names in Vary, or that the policy does. */
export function namedBy ({ named }: Application, by: NamedBy): string[] {
  return Object.entries(named).filter(([, who]) => who === by).map(([name]) => name)
}
