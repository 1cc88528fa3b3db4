import type { TcpProxy } from './tcp-proxy.js'

const TIME = /\bserver_time_usec:(\d{16})\b/g

/** Behind this wire a Redis says that its clock is so many milliseconds ahead. Its keys expire as before. */
export function sayAhead (wire: TcpProxy, milliseconds: number): void {
  wire.retell((said) => said.replace(TIME, (_, time) => `server_time_usec:${Number(time) + milliseconds * 1_000}`))
}

/** Behind this wire a Redis does not say what time it is, as version 5 does not. */
export function sayNoTime (wire: TcpProxy): void {
  wire.retell((said) => said.replace(TIME, 'server_time_none:$1'))
}
