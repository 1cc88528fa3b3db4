import type { FastifyRequest } from 'fastify'
import type { CompiledCredentials } from '../policy/credentials-policy.js'
import { matcher } from './pattern.js'

/** The bit that makes an ASCII letter lower case. */
const SMALL = 0x20
/** With which request it is told that all so far had credentials: the second could have been a HIT. */
const TOLD_WITH = 2
/** Most names that are told, and their greatest length. */
const MAX_TOLD = 10
const MAX_TOLD_LENGTH = 50
/** Where a cookie ends. Some parsers take a comma for an end, too. */
const COOKIE_END = /[;,]/

/** Why a request is not answered from entries for anyone. */
export interface Refusal {
  readonly bypass: 'credentials'
  /** Once, if all requests of the route had credentials so far: the names of this one's. */
  readonly only?: readonly string[]
}

const REFUSAL: Refusal = { bypass: 'credentials' }

/** Tells the requests of one route that are somebody's from those of anyone. */
export class Callers {
  readonly #headers: readonly string[]
  /** The names that are looked for among the headers as they arrived, by length. */
  readonly #byLength: ReadonlyArray<readonly string[] | undefined>
  /** Undefined: all cookies count. */
  readonly #countsCookie: ((name: string) => boolean) | undefined
  /** How many requests with credentials have come; Infinity after one without. */
  #refused = 0

  constructor ({ headers, cookies }: CompiledCredentials) {
    this.#headers = headers
    this.#byLength = byLength([...headers, 'cookie'])
    this.#countsCookie = cookies && cookieTest(cookies)
  }

  /** @param unwatched the request itself, if `request` is a proxy that notes which parts are read */
  refusal (request: FastifyRequest, unwatched: FastifyRequest): Refusal | undefined {
    if (!this.#isSomebodys(request, unwatched)) {
      this.#refused = Infinity
      return undefined
    }
    this.#refused++
    return this.#refused === TOLD_WITH ? { ...REFUSAL, only: this.#credentialsOf(unwatched) } : REFUSAL
  }

  /**
   * Whether a request has credentials, which a hook may have added, or had some when it arrived: if a
   * hook has removed them, the response still belongs to one user. Every HIT checks this, so few names are
   * converted to lower case.
   */
  #isSomebodys ({ headers }: FastifyRequest, unwatched: FastifyRequest): boolean {
    for (const name of this.#headers) if (headers[name] !== undefined) return true
    // A handler that reads a cookie that does not count reads what is not part of the key: not noted as read here.
    const { cookie } = this.#countsCookie === undefined ? headers : unwatched.headers
    if (cookie !== undefined && this.#counts('cookie', cookie)) return true
    // Names and values alternate. A server other than Node's may not have this list.
    const lines = unwatched.raw.rawHeaders as readonly string[] | undefined ?? []
    for (let index = 0; index < lines.length; index += 2) {
      const name = lines[index]!
      const candidates = this.#byLength[name.length]
      if (candidates === undefined || !candidates.some((one) => startLike(one, name))) continue
      const lower = name.toLowerCase()
      if (candidates.includes(lower) && this.#counts(lower, lines[index + 1]!)) return true
    }
    return false
  }

  /** Whether a header with one of the names makes a request somebody's. */
  #counts (name: string, value: string): boolean {
    if (name !== 'cookie' || this.#countsCookie === undefined) return true
    return cookieNames(value).some(this.#countsCookie)
  }

  #credentialsOf ({ headers, raw }: FastifyRequest): readonly string[] {
    const told = new Set<string>()
    const lines = [...Object.entries(headers).flat(), ...(raw.rawHeaders as readonly string[] | undefined ?? [])]
    for (let index = 0; index < lines.length; index += 2) {
      const name = String(lines[index]).toLowerCase()
      if (this.#headers.includes(name)) told.add(`header ${name}`)
      if (name !== 'cookie') continue
      for (const cookie of cookieNames(String(lines[index + 1]))) {
        // What is long, or has no name, may be a value.
        const isName = cookie.length <= MAX_TOLD_LENGTH && lines[index + 1]!.includes(`${cookie}=`)
        if (this.#countsCookie?.(cookie) !== false) told.add(isName ? `cookie ${cookie}` : 'a cookie without a name')
      }
    }
    return [...told].slice(0, MAX_TOLD)
  }
}

/** Whether a cookie makes a request somebody's, by its name. */
export function cookieTest (cookies: CompiledCredentials['cookies']): (name: string) => boolean {
  const patterns = (cookies ?? ['*']).map(matcher)
  return (name) => patterns.some((matches) => matches(name))
}

function byLength (names: readonly string[]): ReadonlyArray<readonly string[] | undefined> {
  const lists: Array<string[] | undefined> = []
  for (const name of names) (lists[name.length] ??= []).push(name)
  return Array.from(lists)
}

/** Whether two names begin with the same letter, in either case. */
const startLike = (a: string, b: string): boolean => (a.charCodeAt(0) | SMALL) === (b.charCodeAt(0) | SMALL)

/** The names in a Cookie header (RFC 6265 section 4.2.1). What has none counts as one. */
const cookieNames = (header: string): string[] =>
  header.split(COOKIE_END).map((cookie) => cookie.split('=', 1)[0]!.trim()).filter((name) => name !== '')
