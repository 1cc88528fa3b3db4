import type { ServerClient } from './client.js'

/** A stream that can buffer writes, such as a socket. */
interface Corkable {
  cork(): void
  uncork(): void
}

/** Sends all commands of `send` in one write per server. A write per command would cost more than all the rest. */
export function corked (servers: readonly ServerClient[], send: () => void): void {
  // `stream` is not documented by ioredis. If it changes, commands are written one by one.
  const sockets = servers.map((server) => server.stream as unknown).filter(isCorkable)
  for (const socket of sockets) socket.cork()
  try {
    send()
  } finally {
    for (const socket of sockets) socket.uncork()
  }
}

function isCorkable (socket: unknown): socket is Corkable {
  const { cork, uncork } = (socket ?? {}) as Partial<Corkable>
  return typeof cork === 'function' && typeof uncork === 'function'
}
