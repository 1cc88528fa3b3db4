import type { FastifyRequest } from 'fastify'
import { bounded, canonicalCredential, canonicalValue, escape, type IsText } from './canonical.js'
import { credentialHash, holdsCredential, namesCredential } from './credential-like.js'

/*
 * The parts of a key for the target URI of a request (RFC 9110 section 7.1): its path, and its origin.
 */

type Params = Record<string, unknown>

const simple = /^(?:\/(?:[^/:*()?]*|:[A-Za-z0-9_]+\??))*(?:\/?\*)?$/

/**
 * A function that fills a route's parameters into its path. If a segment is more than one parameter
 * (a regular expression, several parameters), the pattern stays and the parameters are listed after
 * it: filled in, different parameters could give the same path.
 * @throws TypeError (the returned function) for a parameter that is not plain data
 */
export function routePath (pattern: string, isText: IsText): (params: unknown) => string {
  if (!simple.test(pattern)) {
    return (params) => {
      const named = params as Params
      const listed = Object.keys(named).sort().map((name) => `${name}=${formOf(name, isText)(named[name])}`)
      return encodeURI(pattern).replaceAll('~', '%7E') + (listed.length > 0 ? ` params:${listed.join('&')}` : '')
    }
  }
  const parts = pattern.split(/(\/?:[A-Za-z0-9_]+\??|\*)/)
  if (parts.length === 1) {
    const path = staticPart(pattern)
    return () => path
  }
  const steps = parts.map((part, index): string | ((params: Params) => string) => {
    if (index % 2 === 0) return staticPart(part)
    if (part === '*') return (params) => wildcard(params['*'], isText('*'))
    const name = part.replace(/^\/?:|\?$/g, '')
    const form = formOf(name, isText)
    // A missing optional parameter has no slash either; an empty one has.
    return (params) => params[name] === undefined ? '' : `/${form(params[name])}`
  })
  return (params) => {
    let path = ''
    for (const step of steps) path += typeof step === 'string' ? step : step(params as Params)
    return path
  }
}

function formOf (name: string, isText: IsText): (value: unknown) => string {
  if (namesCredential(name)) return canonicalCredential
  const isTextParam = isText(name)
  return (value) => canonicalValue(value, isTextParam)
}

function wildcard (value: unknown, isText: boolean): string {
  if (typeof value !== 'string') return canonicalValue(value, isText)
  if (holdsCredential(value)) return credentialHash(value)
  return bounded(value, (path) => path.split('/').map((segment) => canonicalValue(segment, isText)).join('/'))
}

const staticPart = (text: string): string => encodeURI(text).replaceAll('~', '%7E')

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([['http', '80'], ['https', '443']])

/** A name or an IPv6 address in brackets, and perhaps a port. */
const AUTHORITY = /^([^:]*|\[[^\]]*\])(?::(\d{0,5}))?$/

/** Most requests come to the same origin as the one before. */
let last = { protocol: '', host: '', part: ' ://' }

/**
 * The part of a key for scheme and authority of the target URI (RFC 9110 section 7.1), such as
 * ` https://shop.example`. Equivalent ones have the same (section 4.2.3): letters are in lower case,
 * and a default port is left out. A request without an authority, as HTTP/1.0 allows, has ` http://`.
 */
export function originPart ({ protocol, host }: FastifyRequest): string {
  if (protocol !== last.protocol || host !== last.host) last = { protocol, host, part: partOf(protocol, host) }
  return last.part
}

function partOf (protocol: string, host: string): string {
  const scheme = String(protocol).toLowerCase()
  const authority = host.toLowerCase()
  // What is no valid authority is escaped as a whole.
  const [, name = authority, port = ''] = AUTHORITY.exec(authority) ?? []
  const isDefault = port === '' || port === DEFAULT_PORTS.get(scheme)
  // Nobody asks with a name and a password in front of the host (RFC 9110 section 4.2.4), but anybody can.
  const shown = name.includes('@') ? credentialHash(name) : escape(name)
  return ` ${escape(scheme)}://${shown}${isDefault ? '' : `:${port}`}`
}
