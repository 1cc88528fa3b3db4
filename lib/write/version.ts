import { randomBytes } from 'node:crypto'

/** A random version, which cannot be guessed and is never used twice. */
export const newVersion = (): string => randomBytes(16).toString('base64url')
