/** Names of classes of ioredis and of node-redis. */
const REPLIES: ReadonlySet<string> = new Set(['ReplyError', 'SimpleError', 'BlobError'])

/**
 * Whether an error is a reply of Redis, not a failed connection or a timeout.
 * @param code the first word of the reply, such as NOPERM; default: any
 */
export const isReply = (error: unknown, code = ''): error is Error =>
  error instanceof Error && (REPLIES.has(error.name) || REPLIES.has(error.constructor.name)) &&
  error.message.startsWith(code)

/** A script's own commands are refused in other words: those of Redis 7, and of earlier versions. */
const DENIED = /^NOPERM|^ERR unknown (sub)?command|ACL failure in script|The user executing the script can't/
const FULL = /\bOOM command not allowed/

/** Whether Redis refused a command because this user may not use it, or because it has been renamed or disabled. */
export const isDenied = (error: unknown): error is Error => isReply(error) && DENIED.test(error.message)

/** Whether Redis, or a script in it, refused to write because it is full. */
export const isFull = (error: unknown): boolean => isReply(error) && FULL.test(error.message)
