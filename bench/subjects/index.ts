import { apicache } from './apicache.js'
import { asyncCacheDedupe } from './async-cache-dedupe.js'
import { bentocacheRedis, bentocacheTiered } from './bentocache.js'
import { codedSubjects } from './coded.js'
import { fastifyCaching } from './fastify-caching.js'
import { fastifyConnected, fastifyNotModified, fastifyStatic } from './fastify-static.js'
import { nest } from './nest.js'
import { nodeHttp } from './node-http.js'
import { pluginMemory, pluginMiss, pluginNodeRedis, pluginRedis, pluginStrict, pluginTracked, pluginUnused } from './plugin.js'
import { nodeRedisGet, redisGet } from './redis-get.js'
import { atExpiry, inOutage } from './refreshed.js'
import type { Subject } from './subject.js'
import { swept } from './swept.js'
import { truthRedis, truthStrict, truthTracked } from './truth.js'
import { uncached, uncachedSet } from './uncached.js'

/** The table's, in its order. */
export const subjects: Subject[] = [
  nodeHttp,
  fastifyStatic,
  fastifyNotModified,
  fastifyConnected,
  pluginUnused,
  pluginMemory,
  pluginTracked,
  pluginStrict,
  pluginRedis,
  pluginNodeRedis,
  ...codedSubjects,
  redisGet,
  nodeRedisGet,
  uncached,
  uncachedSet,
  pluginMiss,
  fastifyCaching,
  asyncCacheDedupe,
  bentocacheRedis,
  bentocacheTiered,
  nest,
  apicache
]

const all = [...subjects, swept, truthRedis, truthStrict, truthTracked, ...atExpiry, inOutage]

export function subjectNamed (name: string): Subject {
  const subject = all.find((subject) => subject.name === name)
  if (subject === undefined) throw new Error(`no subject is named ${name}; there are: ${all.map(({ name }) => name).join(', ')}`)
  return subject
}
