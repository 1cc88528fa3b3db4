import type { Redis } from 'ioredis'

/** What can hold back what is written to it, as sockets do. */
interface Corkable {
  cork(): void
  uncork(): void
}

/** Lets the commands that `send` sends leave in one write to each server: a write for each costs more than the rest of it. */
export function corked (servers: readonly Redis[], send: () => void): void {
  // `stream` is ioredis's own business: where it is not what it is today, commands leave one by one.
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
