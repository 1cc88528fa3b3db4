/**
 * Whether an error is a reply of Redis, not a failed connection or a timeout.
 * @param code the first word of the reply, such as NOPERM; default: any
 */
export const isReply = (error: unknown, code = ''): boolean =>
  error instanceof Error && error.name === 'ReplyError' && error.message.startsWith(code)
