import { buffer } from 'node:stream/consumers'
import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import apiCache, { redisFromEnvironment, type ApiCacheOptions } from '../index.js'

export interface ProxyOptions {
  /** The URL of the server. */
  upstream: string
  /** Send a response when all of it has arrived, instead of streaming it. */
  buffered?: boolean
  /** Options of the plugin, besides this proxy's own. */
  cache?: ApiCacheOptions
}

type ReplyOptions = NonNullable<FastifyHttpProxyOptions['replyOptions']>

/** Safe methods (RFC 9110 section 9.2.1) besides GET and HEAD. */
const SAFE = ['OPTIONS']
const WRITING = ['POST', 'PUT', 'PATCH', 'DELETE', 'M-SEARCH']

/** The second segment of the path: a write to /users/42 also invalidates /users/42/posts. */
const namespace = ({ url }: FastifyRequest): string => url.split(/[/?]/, 3)[2] || 'top'

/** A shared cache in front of an HTTP server. */
export async function buildProxy ({ upstream, buffered = false, cache = {} }: ProxyOptions): Promise<FastifyInstance> {
  const app = Fastify()
  app.addHttpMethod('M-SEARCH', { hasBody: true })
  await app.register(apiCache, {
    expire: 3600,
    statuses: [200],
    scope: 'shared',
    ...cache
  })

  const replyOptions: ReplyOptions = {
    // The client decides whether to retry.
    retryDelay: () => null,
    ...(buffered ? { onResponse: sendWhole } : {})
  }
  const common = { upstream, replyOptions }
  app.register(httpProxy, { ...common, httpMethods: ['GET', 'HEAD'], config: { cache: { namespace } } })
  app.register(httpProxy, { ...common, httpMethods: WRITING, config: { cache: { invalidate: namespace } } })
  app.register(httpProxy, { ...common, httpMethods: SAFE })
  return app
}

const sendWhole: ReplyOptions['onResponse'] = (_request, reply, { stream }) => {
  buffer(stream).then((body) => reply.send(body), (error: Error) => reply.send(error))
}

async function start (): Promise<void> {
  const { UPSTREAM, HOST = '127.0.0.1', PORT = '8080', BUFFERED } = process.env
  if (UPSTREAM === undefined) throw new Error('UPSTREAM must be the URL of the upstream server, such as http://127.0.0.1:8000')
  const redis = redisFromEnvironment()
  const app = await buildProxy({
    upstream: UPSTREAM,
    buffered: BUFFERED !== undefined,
    cache: redis === undefined ? { store: 'memory' } : { redis }
  })
  await app.listen({ host: HOST, port: Number(PORT) })
}

if (require.main === module) void start()
