import { httpDateOf } from '../../http/date.js'
import { etagOf } from '../../http/validators.js'
import type { CompiledReadPolicy } from '../../policy/read-policy.js'
import type { Answer } from './answer.js'

/** Headers that the cache adds to a response if the handler has not set them: Cache-Control, Date and ETag. */
export function defaultHeaders (
  { clientCacheControl }: CompiledReadPolicy, { status, headers, kind, body }: Answer
): Record<string, string> {
  const added: Record<string, string> = {}
  const isExplicit = headers['cache-control'] !== undefined || headers.expires !== undefined
  if (!isExplicit) added['cache-control'] = clientCacheControl
  if (headers.date === undefined) added.date = httpDateOf(Date.now())
  // A stream's bytes are not known yet.
  if (headers.etag === undefined && status === 200 && kind !== 'empty' && body !== undefined) added.etag = etagOf(body)
  return added
}
