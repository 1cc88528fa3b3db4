import type { Case, Expected } from './case.js'
import { namedBy, type Application } from './description.js'
import { FRAMING, OWNED_FIELDS } from './owned-fields.js'
import type { Answer } from './transport.js'

type Check = (one: Case, expected: Expected, got: Answer) => string | undefined

/** How each field that the cache owns is judged; all others have to be the twin's. */
const CHECKS: Record<keyof typeof OWNED_FIELDS, Check> = {
  age: (_one, _expected, { headers }) =>
    (headers['x-api-cache'] === 'HIT') === (headers['age'] !== undefined) ? undefined : `age is ${headers['age']}`,
  date: () => undefined,
  'cache-status': () => undefined,
  'x-api-cache': () => undefined,
  etag: etagDifference,
  'cache-control': cacheControlDifference,
  vary: varyDifference,
  'content-length': () => undefined,
  'content-range': same('content-range'),
  'content-type': sameUnlessEmpty('content-type'),
  'content-encoding': sameUnlessEmpty('content-encoding')
}

/** What a 304 may leave out (RFC 9110 section 15.4.5), and a 416 does not describe. */
const LEFT_OUT: Record<number, readonly string[]> = {
  304: ['content-type', 'content-encoding', 'content-language', 'last-modified'],
  416: ['content-type', 'content-encoding', 'content-language', 'last-modified', 'expires']
}

export function fieldDifferences (one: Case, expected: Expected, got: Answer): string[] {
  const found: string[] = []
  for (const name of new Set([...Object.keys(CHECKS), ...Object.keys(expected.headers), ...Object.keys(got.headers)])) {
    if (FRAMING.includes(name)) continue
    const check = (CHECKS as Partial<Record<string, Check>>)[name] ?? sameUnlessEmpty(name)
    const difference = check(one, expected, got)
    if (difference !== undefined) found.push(difference)
  }
  return found
}

function same (name: string): Check {
  return (_one, expected, got) => expected.headers[name] === got.headers[name]
    ? undefined
    : `${name} is ${show(got.headers[name])} instead of ${show(expected.headers[name])}`
}

function sameUnlessEmpty (name: string): Check {
  const check = same(name)
  return (one, expected, got) => {
    const isLeftOut = got.headers[name] === undefined && LEFT_OUT[expected.status]?.includes(name) === true
    return isLeftOut ? undefined : check(one, expected, got)
  }
}

const show = (value: string | undefined): string => value === undefined ? 'missing' : `'${value}'`

function etagDifference ({ twin: { whole, bytes, trace }, tags }: Case, expected: Expected, got: Answer): string | undefined {
  const tag = got.headers['etag']
  // An application that answers conditions itself may tag a part by its own bytes.
  if (expected.isTwins === true && tag === expected.headers['etag']) return undefined
  const given = whole.headers['etag']
  if (given === undefined || (trace.changed && !trace.taggedLate)) {
    if (isOwnTag(tag, given)) return tags.fault(tag, bytes)
    if (expected.status === 304 && tag === undefined && got.headers['x-api-cache'] === 'HIT' && !trace.changed) return 'a 304 without ETag'
    // Before the body was changed it belonged to another one.
    return expected.status === 206 && tag !== undefined && tag === given ? `the part has the ETag ${tag} of another body` : undefined
  }
  if (trace.encoded && tag === `W/${given}`) return undefined
  return tag === given || (expected.status === 416 && tag === undefined) ? undefined : `etag is ${show(tag)} instead of ${show(given)}`
}

/** Whether the cache made this strong ETag. */
export const isOwnTag = (tag: string | undefined, given: string | undefined): tag is string =>
  tag !== undefined && tag !== given && !tag.startsWith('W/')

function cacheControlDifference ({ application: { policy } }: Case, expected: Expected, got: Answer): string | undefined {
  const said = got.headers['cache-control']
  const given = expected.headers['cache-control']
  if (said === given) return undefined
  const freshness = policy.clientExpire === 0 ? 'no-cache' : `max-age=${policy.clientExpire}`
  const ours = policy.scope === 'tenant' ? `private, ${freshness}` : freshness
  const mayAdd = given === undefined && expected.headers['expires'] === undefined &&
    ([206, 304, 416].includes(got.status) || policy.statuses.includes(got.status) || got.status < 300)
  return mayAdd && said === ours ? undefined : `cache-control is ${show(said)} instead of ${show(given)}`
}

/** The request headers that are part of every key, as far as a Vary can name them. */
function varyOfKey (application: Application): string[] {
  const { scope } = application.policy
  const callers = { shared: [], anonymous: ['authorization', 'cookie'], tenant: ['authorization', 'cookie', 'x-tenant', '*'] }[scope]
  return [...namedBy(application, 'policy'), ...callers]
}

const members = (value: string | undefined): Set<string> =>
  new Set((value ?? '').toLowerCase().split(',').map((name) => name.trim()).filter((name) => name !== ''))

function varyDifference ({ application }: Case, expected: Expected, got: Answer): string | undefined {
  const given = members(expected.headers['vary'])
  const said = members(got.headers['vary'])
  const mayAdd = varyOfKey(application)
  const missing = [...given].filter((name) => !said.has(name))
  // Caches behind the application have to know what tells answers apart, if they may use them.
  const isOurs = expected.headers['cache-control'] === undefined && /max-age/.test(got.headers['cache-control'] ?? '')
  if (isOurs) missing.push(...namedBy(application, 'policy').filter((name) => !said.has(name)))
  if (isOurs && application.policy.scope === 'anonymous' && !said.has('authorization')) missing.push('authorization')
  const added = [...said].filter((name) => !given.has(name) && !mayAdd.includes(name))
  return missing.length + added.length === 0
    ? undefined
    : `vary is ${show(got.headers['vary'])}: missing ${missing.join()}; too many ${added.join()}`
}

/** A Content-Length has to be that of the body. */
export function lengthDifferences ({ asking: { method }, twin: { bytes } }: Case, { status, headers, body }: Answer): string[] {
  const length = headers['content-length']
  if (length === undefined || status === 304) return []
  if (method === 'HEAD' && status !== 200) return []
  const right = method === 'HEAD' ? bytes.length : body.length
  return Number(length) === right ? [] : [`content-length is ${length} instead of ${right}`]
}
