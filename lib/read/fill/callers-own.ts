import type { FastifyRequest } from 'fastify'
import { textOf } from '../../http/headers.js'
import type { CacheKey } from '../../key/cache-key.js'
import type { CompiledReadPolicy } from '../../policy/read-policy.js'

/*
 * An error handler runs for all routes, so it does not know what the key of this one is made of, and may repeat
 * what only this caller has sent.
 */

/** Shorter texts occur anywhere by chance. */
const SHORTEST = 4
/** A part of a header, such as a credential or the value of a cookie. */
const TOKEN = /[^\s=;,]{8,}/g
/** A part of a token, such as the id of a trace in `traceparent`. */
const WORD = /\w{16,}/g

/** Fields of which all clients of a kind send the same. */
const GENERAL = /^(?:sec-|accept|upgrade|(?:connection|cache-control|pragma|te|dnt|priority|host)$)/

/** What a request says that is not part of its key. */
export function callersOwn (request: FastifyRequest, key: CacheKey, policy: CompiledReadPolicy): readonly string[] {
  const said = [request.id, request.ip, ...request.ips ?? []]
  for (const url of new Set([request.originalUrl, request.raw.url!])) said.push(...ofUrl(url, key))
  for (const name of Object.keys(request.headers)) {
    if (policy.vary.includes(name) || (GENERAL.test(name) && (name !== 'host' || policy.host))) continue
    said.push(...ofHeader(textOf(request.headers[name])!))
  }
  return [...new Set(said)].flatMap((text) => [text, JSON.stringify(text).slice(1, -1)])
}

/** Whether a text contains one of these as whole words. */
export function repeats (text: string, said: readonly string[]): boolean {
  return said.some((part) => {
    for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) {
      if (!isWord(text[at - 1]) && !isWord(text[at + part.length])) return true
    }
    return false
  })
}

const isWord = (character = ' '): boolean => /[\w-]/.test(character)

/** A URL that is written as the key has it says nothing more. */
function ofUrl (url: string, { text }: CacheKey): string[] {
  if (`${text} `.startsWith(`GET ${url} `)) return []
  // Up to the first character that a page may escape.
  const path = /^[\w/.~%-]*/.exec(url)![0]
  const query = url.split('?').slice(1).join('?')
  return [path, ...[...new URLSearchParams(query)].flat().filter(isLong)]
}

const ofHeader = (value: string): string[] =>
  isLong(value) ? [value, ...value.match(TOKEN) ?? [], ...value.match(WORD) ?? []] : []

const isLong = (text: string): boolean => text.length >= SHORTEST
