/** Longest time in milliseconds between two attempts of the plugin's own connection. */
const MAX_RETRY = 250

/** Milliseconds until the next attempt to connect. */
export const retryDelay = (attempts: number): number => Math.min((attempts + 1) * 50, MAX_RETRY)

/** Milliseconds that closing a connection waits for a server that does not answer: no process lives for longer. */
export const DISCONNECT_TIMEOUT = 200
