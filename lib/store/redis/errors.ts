/**
 * Whether an error is what Redis itself answered, in time.
 * @param code the answer's first word, such as NOPERM; any when left out
 */
export const isReply = (error: unknown, code = ''): boolean =>
  error instanceof Error && error.name === 'ReplyError' && error.message.startsWith(code)
