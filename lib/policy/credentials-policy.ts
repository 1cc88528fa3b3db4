import { checkFields, headerNames, textList, type Fields } from './fields.js'

/** What makes a request somebody's under `scope: 'anonymous'`. */
export interface Credentials {
  /** Request headers such as `x-api-key`, besides Authorization (RFC 9111 section 3.5); default: none. */
  headers?: readonly string[]
  /** Names of cookies, or patterns such as `sb-*`; default: all. */
  cookies?: readonly string[]
}

/** The same with all defaults applied. */
export interface CompiledCredentials {
  /** All but Cookie, in lower case. */
  readonly headers: readonly string[]
  /** Undefined: all. */
  readonly cookies: readonly string[] | undefined
}

const fields: Fields<Credentials> = { headers: headerNames, cookies: textList }

/** @throws UnknownFieldError, InvalidFieldError */
export function checkCredentials (what: string, credentials: Credentials | undefined): void {
  if (credentials !== undefined) checkFields(`${what}: credentials`, credentials, fields)
}

/** @param defaults those of the plugin, each of which a route may replace */
export function compileCredentials (credentials: Credentials = {}, defaults: Credentials = {}): CompiledCredentials {
  const { headers = defaults.headers ?? [], cookies = defaults.cookies } = credentials
  const names = new Set(['authorization', ...headers.map((name) => name.toLowerCase())])
  // The header is all cookies.
  const areAll = names.delete('cookie') || cookies === undefined
  return { headers: [...names].sort(), cookies: areAll ? undefined : [...new Set(cookies)].sort() }
}
