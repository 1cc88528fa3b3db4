const INFO = /^(\*2\r\n\$4\r\ninfo\r\n\$\d+\r\n(server|persistence|replication)\r\n)+$/i

/** Whether a client sends only what each asks at its own intervals, and no request waits for. */
export const isHeartbeat = (sent: unknown): boolean => INFO.test(String(sent))
