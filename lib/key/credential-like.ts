import { createHash } from 'node:crypto'

/*
 * Keys stand in Redis, in logs and, with `explain: true`, in Cache-Status. So what may be a credential is in
 * them as a hash: by the name of a header or a parameter, or because a value shows it itself.
 */

/** Letters of a hash: 192 bits, and another length than the hash that ends a key or a value that is too long. */
const HASH_LENGTH = 32

/** More than a key ever shows of one text. */
const MAX_SHOWN = 1_024

/** Headers that say nothing of who asks, unless their value holds a credential. */
const HARMLESS_HEADERS: ReadonlySet<string> = new Set([
  'content-language', 'content-type', 'device-memory', 'dnt', 'downlink', 'dpr', 'ect', 'host', 'origin', 'prefer',
  'rtt', 'save-data', 'upgrade-insecure-requests', 'user-agent', 'viewport-width', 'width', 'x-forwarded-host',
  'x-forwarded-proto', 'x-requested-with'
])
/** How headers begin by which responses are negotiated. */
const HARMLESS_BEGINNING = /^(?:accept|sec-ch|sec-fetch)(?:-|$)/

/** Texts in upper and lower case. The flag `i` would also do that to what stands around them. */
const anyCase = (...texts: string[]): string =>
  texts.map((text) => text.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)).join('|')
const END = '[sS]?(?![a-z])'
const BEGINNING = '(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))'
/** What names of credentials contain: anywhere (auth is no author), at the end of a word, as a word in any spelling. */
const NAMES = [
  anyCase('token', 'secret', 'passw', 'pass.?phrase', 'pass.?code', 'credential', 'signature', 'session', 'sessid',
    'cookie', 'bearer', 'jwt', 'saml', 'csrf', 'xsrf'),
  `${anyCase('auth')}(?!${anyCase('or')}(?![iI][sSzZ]))`,
  `(?:${anyCase('key', 'code')})${END}`,
  `${BEGINNING}(?:${anyCase('pass', 'pwd', 'pw', 'pin', 'otp', 'totp', 'mfa', '2fa', 'sid', 'sig', 'sign', 'hmac',
    'sso', 'ticket', 'nonce')})${END}`
].join('|')
const NAME = new RegExp(NAMES)

/**
 * A credential by its name inside of a value, in front of `=` or `:` as URLs and JSON have it, or a URL with a
 * password. Each quantifier is bounded, so that the test takes linear time.
 */
const NAMED_INSIDE = new RegExp(`(?:${NAMES})[\\w.[\\]-]{0,32}["']?\\s{0,8}(?:[=:]|%3[aAdD])|` +
  '//[^/@\\s]{0,256}:[^/@\\s]{0,256}@')
const SEPARATOR = /[=:%]/
/** A value for Authorization, with the name of its scheme in front (RFC 9110 section 11.4). */
const SCHEME = /^\s{0,8}(?:bearer|basic|digest|negotiate)\s/i
/** A JSON Web Token (RFC 7519 section 3): base64url of `{"`, and further parts behind points. */
const WEB_TOKEN = /(?<![\w-])eyJ[\w-]{8,}\.[\w-]/
const WORD = /^[\w.-]*$/

/** Whether the value of a request header may be a credential, by its name in lower case, or because it holds one. */
export function isCredentialHeader (name: string, value: string): boolean {
  if (HARMLESS_BEGINNING.test(name)) return false
  const isUserOfHost = name.endsWith('host') && value.includes('@')
  return !HARMLESS_HEADERS.has(name) || isUserOfHost || holdsCredential(value)
}

/** Whether the name of a parameter says that its value is a credential, in any spelling: `apiKey`, `user[api-key]`. */
export const namesCredential = (name: string): boolean => NAME.test(name.slice(0, MAX_SHOWN))

/** Whether a value shows that it is or holds a credential, whatever its name is. */
export function holdsCredential (text: string): boolean {
  const shown = text.slice(0, MAX_SHOWN)
  if (shown.includes('eyJ') && WEB_TOKEN.test(shown)) return true
  if (WORD.test(shown)) return false
  return SCHEME.test(shown) || (SEPARATOR.test(shown) && NAMED_INSIDE.test(shown))
}

/** What stands in a key for a credential. No escaped text begins with `~`. */
export function credentialHash (text: string): string {
  // Not as UTF-8, which has no lone surrogates: different texts would get the same hash.
  return `~${createHash('sha256').update(text, 'utf16le').digest('base64url').slice(0, HASH_LENGTH)}`
}
