/** Errors within errors that are looked at: the last error of a Cluster's node, a cause. */
const MAX_DEPTH = 4

/**
 * An error of a Redis client without the arguments of the command that failed, which ioredis keeps with it: logs
 * and listeners would get stored bodies, and the password of the connection.
 */
export function withoutArguments (error: unknown, depth = 0): unknown {
  if (!(error instanceof Error) || depth === MAX_DEPTH) return error
  const { command } = error as { command?: unknown }
  if (typeof command === 'object' && command !== null) Reflect.deleteProperty(command, 'args')
  for (const inner of [error.cause, ...Object.values(error) as unknown[]]) withoutArguments(inner, depth + 1)
  return error
}
