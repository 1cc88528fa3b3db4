import { createHash } from 'node:crypto'
import type { FastifyRequest, RouteOptions } from 'fastify'
import { compileCredentials } from '../policy/credentials-policy.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { escape } from './canonical.js'

/** Letters of a hash in a key. It tells releases of one route apart, and nobody else chooses what is hashed. */
const HASH_LENGTH = 8

/**
 * The part of a key for the release that shaped a response, such as ` revision=3f2a1b~Xk3_9aZw`: the
 * policy's `revision`, and a hash of what else shapes the route's responses. The hash is left out
 * if that is all as it is by default.
 */
export function revisionPart (
  policy: CompiledReadPolicy, schema: RouteOptions['schema'], { server }: FastifyRequest
): string {
  const { revision = '' } = policy
  const shape = shapeOf(policy, schema?.response === undefined ? [] : schemasOf(schema.response, server))
  if (shape === DEFAULT_SHAPE) return revision === '' ? '' : ` revision=${escape(revision)}`
  const hash = createHash('sha256').update(shape).digest('base64url').slice(0, HASH_LENGTH)
  return ` revision=${escape(revision)}~${hash}`
}

type Shaping = Pick<CompiledReadPolicy, 'scope' | 'credentials' | 'lifetimes' | 'vary'>

function shapeOf ({ scope, credentials, lifetimes, vary }: Shaping, schemas: readonly string[]): string {
  const kind = typeof scope === 'function' ? 'function' : scope
  return JSON.stringify([kind, credentials, [...lifetimes.keys()].sort(), vary, schemas])
}

const DEFAULT_SHAPE = shapeOf(
  { scope: 'anonymous', credentials: compileCredentials(), lifetimes: new Map([[200, 0]]), vary: [] }, [])

/** A response schema, and the shared schemas that it refers to, also through others: as JSON. */
function schemasOf (response: unknown, server: FastifyRequest['server']): string[] {
  const text = jsonOf(response)
  const used = new Set([text])
  if (!text.includes('"$ref":')) return [text]
  const shared = Object.values(server.getSchemas()).map(jsonOf)
  // A set's iteration goes on with what is added meanwhile.
  for (const referring of used) {
    const ids = idsIn(referring, /"\$ref":"([^"#]+)/g)
    for (const schema of shared) {
      if (idsIn(schema, /"\$id":"([^"#]+)/g).some((id) => ids.includes(id))) used.add(schema)
    }
  }
  return [...used]
}

const idsIn = (json: string, pattern: RegExp): string[] => [...json.matchAll(pattern)].map(([, id]) => id!)

/** Empty for what is no JSON: a schema for a serializer compiler of the application. `revision` speaks for it. */
function jsonOf (schema: unknown): string {
  try {
    return JSON.stringify(schema) ?? ''
  } catch {
    return ''
  }
}
