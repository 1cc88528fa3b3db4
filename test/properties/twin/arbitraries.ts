import fc from 'fast-check'
import { lastModified } from './application.js'
import type {
  Application, Asked, Caller, EarlyAction, EarlyHook, Field, Handler, Hook, LateAction, LateHook, Level, Nameable, NamedBy,
  PayloadHook, Policy, Sequence, Step
} from './description.js'

/*
 * Applications for which the cache promises equal answers, and requests to them.
 *
 * What makes a part of what is stored (a handler, a preSerialization hook, a status before the handler) may
 * read a header only if Vary or the policy names it, or the key holds it. What runs for each response (headers
 * of hooks before the handler, everything in onSend) may read anything.
 */

const PLAIN = { noNullPrototype: true }
/** A failing example may become a simpler one by taking the first of several. */
const SIMPLER = { withCrossShrink: true }
/** Mostly the first of these. */
const mostly = <const T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
  fc.oneof(SIMPLER, { weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...rare) })
const rarely: fc.Arbitrary<boolean> = mostly(false, true)

const level: fc.Arbitrary<Level> = fc.constantFrom('route', 'context', 'after the plugin', 'before the plugin')
const field: fc.Arbitrary<Field> = fc.constantFrom(
  'x-role', 'accept-language', 'origin', 'accept', 'host', 'protocol', 'x-tenant', 'authorization')

const early: fc.Arbitrary<EarlyHook> = fc.record({
  at: fc.constantFrom('onRequest', 'preHandler'),
  level,
  does: fc.constantFrom<EarlyAction>(
    'allows the origin', 'sets a nonce', 'sets Content-Language', 'sets x-hooked for admins', 'sets a weak ETag',
    'sets Cache-Control for admins', 'sets a cookie for admins', 'chooses a serializer', 'turns guests away',
    'sets 203 for admins', 'links to itself')
}, PLAIN)

const payload: fc.Arbitrary<PayloadHook> = fc.record({ at: fc.constant('preSerialization' as const), level, reads: field }, PLAIN)

const late: fc.Arbitrary<LateHook> = fc.record({
  at: fc.constant('onSend' as const),
  level,
  does: fc.constantFrom<LateAction>(
    'hides salaries', 'signs', 'reverses', 'names the payload', 'sets a nonce', 'hides x-internal', 'links to itself',
    'sets 203 for admins', 'refuses guests', 'throws for guests', 'sets Cache-Control if nobody did',
    'sets no-store for admins', 'sets a cookie for admins', 'sets an ETag if nobody did', 'varies on Accept-Encoding')
}, PLAIN)

const hooks: fc.Arbitrary<Hook[]> = fc.array(
  fc.oneof({ weight: 4, arbitrary: early }, { weight: 1, arbitrary: payload }, { weight: 4, arbitrary: late }),
  { maxLength: 8, size: 'max' })

const handler: fc.Arbitrary<Handler> = fc.record<Handler>({
  sends: fc.constantFrom('object', 'object', 'text', 'text', 'bytes', 'stream', 'web stream', 'Response', 'nothing'),
  reads: fc.uniqueArray(field, { maxLength: 2 }),
  status: mostly(200, 203, 404),
  throwsForGuests: rarely,
  etag: fc.constantFrom('none', 'strong', 'none', 'weak'),
  lastModified: fc.boolean(),
  cacheControl: mostly('none', 'max-age=60', 'public, s-maxage=60', 'no-cache', 'no-store', 'private'),
  expires: rarely,
  contentLanguage: fc.boolean(),
  internal: rarely,
  hooked: fc.constantFrom('leaves', 'removes', 'extends'),
  vary: fc.constantFrom('adds', 'replaces'),
  answersConditions: rarely
}, PLAIN)

const policy: fc.Arbitrary<Policy> = fc.record<Policy>({
  scope: fc.constantFrom('shared', 'shared', 'anonymous', 'tenant'),
  host: mostly<boolean>(true, false),
  clientExpire: fc.constantFrom(0, 60),
  statuses: fc.constantFrom([200], [200, 203, 404]),
  coalesce: fc.constantFrom('process', 'fleet')
}, PLAIN)

const namedBy: fc.Arbitrary<NamedBy> = fc.constantFrom('handler', 'onRequest', 'onSend', 'policy')

export const application: fc.Arbitrary<Application> = fc.record({
  policy,
  trustProxy: fc.boolean(),
  releases: mostly('one', 'two revisions', 'two revisions of the route', 'two response schemas', 'two applications'),
  hooks,
  handler,
  named: fc.record({ accept: namedBy, 'accept-language': namedBy, origin: namedBy, 'x-role': namedBy }, PLAIN)
}, PLAIN).map(honest)

const NAMEABLE: readonly string[] = ['accept', 'accept-language', 'origin', 'x-role']

/** The application as one that declares what it reads. */
function honest (application: Application): Application {
  const { policy, named } = application
  const mayRead = (field: Field): boolean => NAMEABLE.includes(field) || isInKey(field, policy)
  const hooks = ordered(application.hooks.filter((hook) => hook.at !== 'preSerialization' || mayRead(hook.reads)))
  const handler: Handler = { ...application.handler, reads: application.handler.reads.filter(mayRead) }
  const shaping = new Set<Field>(handler.reads)
  if (handler.throwsForGuests) shaping.add('x-role')
  for (const hook of hooks) {
    if (hook.at === 'preSerialization') shaping.add(hook.reads)
    if (hook.at !== 'onSend' && 'does' in hook && hook.does === 'sets 203 for admins') shaping.add('x-role')
  }
  const names = [...shaping].filter((field) => NAMEABLE.includes(field)) as Nameable[]
  return { ...application, hooks, handler, named: Object.fromEntries(names.map((name) => [name, placeOf(name, named[name]!, handler)])) }
}

function isInKey (field: Field, { scope, host }: Policy): boolean {
  switch (field) {
    case 'host':
    case 'protocol': return host
    case 'x-tenant': return scope === 'tenant'
    case 'authorization': return scope === 'anonymous'
    default: return false
  }
}

/** Where a name in Vary is not lost, and counts. */
function placeOf (name: Nameable, place: NamedBy, { sends, vary }: Handler): NamedBy {
  if (place === 'policy') return place
  // Outside the handler it is taken for a header of CORS.
  if (name === 'origin') return 'handler'
  return place === 'onRequest' && vary === 'replaces' && sends !== 'nothing' ? 'handler' : place
}

const sealsAnswer = (hook: Hook): boolean => hook.at === 'onSend' && hook.does === 'sets an ETag if nobody did'

/** A hook that computes an ETag stands behind those that change the body. */
function ordered (hooks: readonly Hook[]): Hook[] {
  const sealing = hooks.filter(sealsAnswer).slice(0, 1).map((hook): Hook => ({ ...hook, level: 'route' }))
  return [...hooks.filter((hook) => !sealsAnswer(hook)), ...sealing]
}

const sometimes = (often: number, ...values: string[]): fc.Arbitrary<string | undefined> =>
  fc.oneof(SIMPLER, { weight: 10 - often, arbitrary: fc.constant(undefined) }, { weight: often, arbitrary: fc.constantFrom(...values) })

const ETAGS = ['etag#0', 'etag#0', 'etag#1', 'etag#2', 'etag#5', 'W/etag#0', 'W/etag#1', '"other"', '"other", etag#1', '*']
const RANGES = ['bytes=0-', 'bytes=2-9', 'bytes=-7', 'bytes=30-', 'bytes=9999-', 'bytes=0-1,4-5', 'lines=0-1', 'nonsense']

/** Headers, of which some are missing. */
const headers = (given: Record<string, fc.Arbitrary<string | undefined>>): fc.Arbitrary<Record<string, string>> =>
  fc.record(given, PLAIN).map((all) => Object.fromEntries(
    Object.entries(all).filter((field): field is [string, string] => field[1] !== undefined)))

const caller: fc.Arbitrary<Caller> = headers({
  host: fc.constantFrom('shop.example', 'evil.example'),
  'x-role': sometimes(5, 'admin', 'user', 'guest'),
  'accept-language': sometimes(4, 'de', 'en', 'en, de;q=0.5', 'de;q=0.5,en', 'fr'),
  origin: sometimes(3, 'http://a.example', 'http://b.example'),
  accept: sometimes(3, 'application/json', 'text/loud'),
  'accept-encoding': sometimes(2, 'reverse'),
  'x-nonce': sometimes(4, '1', '2'),
  'x-tenant': sometimes(9, 'red', 'blue'),
  authorization: sometimes(1, 'Bearer a', 'Bearer b'),
  'x-forwarded-proto': sometimes(2, 'https'),
  'x-forwarded-host': sometimes(1, 'front.example')
})

const asked: fc.Arbitrary<Asked> = fc.record({
  release: fc.constantFrom(0, 1),
  method: fc.oneof(SIMPLER, { weight: 6, arbitrary: fc.constant('GET' as const) }, { weight: 1, arbitrary: fc.constant('HEAD' as const) }),
  path: mostly('/items/1', '/items/2', '/items/1?page=2'),
  caller: fc.nat({ max: 3 }),
  headers: headers({
    'cache-control': sometimes(1, 'no-cache', 'no-store', 'max-age=0'),
    'if-none-match': sometimes(2, ...ETAGS),
    'if-modified-since': sometimes(1, lastModified(-1), lastModified(0), lastModified(2), lastModified(1000)),
    range: sometimes(2, ...RANGES),
    'if-range': sometimes(1, 'etag#0', 'etag#1', 'W/etag#0', '"other"', lastModified(0))
  })
}, PLAIN)

const step: fc.Arbitrary<Step> = fc.oneof(
  SIMPLER,
  { weight: 9, arbitrary: fc.record({ ask: asked.map((one) => [one]) }, PLAIN) },
  { weight: 2, arbitrary: fc.record({ ask: fc.array(asked, { minLength: 2, maxLength: 4 }) }, PLAIN) },
  { weight: 1, arbitrary: fc.record({ write: fc.constantFrom(0, 1) }, PLAIN) }
)

/** Often many steps of few callers: what later ones meet, earlier ones left. */
export const sequence: fc.Arbitrary<Sequence> = fc.record({
  callers: fc.array(caller, { minLength: 1, maxLength: 4 }),
  steps: fc.array(step, { minLength: 1, maxLength: 50, size: 'max' })
}, PLAIN)
