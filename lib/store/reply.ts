/** Whether an error is what Redis itself answered, in time. */
export const isReply = (error: unknown): boolean => error instanceof Error && error.name === 'ReplyError'
