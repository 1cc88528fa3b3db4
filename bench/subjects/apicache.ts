import { once, type EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { itemText } from '../payload.js'
import { loadPeer } from '../peers.js'
import { jsonType, type Subject } from './subject.js'

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void

interface ExpressResponse extends ServerResponse {
  send: (body: string) => void
}

interface Express {
  get: (path: string, middleware: Middleware, handler: (request: IncomingMessage & { params: { id: string } }, response: ExpressResponse) => void) => void
  listen: (port: number, host: string) => Server
}

interface Apicache {
  options: (options: object) => { middleware: (duration: string) => Middleware }
}

interface NodeRedis {
  createClient: (url: string) => EventEmitter & { end: (flush: boolean) => void }
}

export const apicache: Subject = {
  name: 'apicache',
  title: 'apicache, Express and Redis',
  group: 'peer',
  answeredBy: 'cache',
  async start ({ bodyBytes, redisUrl }, counters) {
    const express = await loadPeer<{ default: () => Express }>('express')
    const redis = await loadPeer<{ default: NodeRedis }>('redis')
    const { default: cache } = await loadPeer<{ default: Apicache }>('apicache')
    const redisClient = redis.default.createClient(redisUrl)
    await once(redisClient, 'ready')
    const app = express.default()
    app.get('/items/:id', cache.options({ redisClient }).middleware('1 hour'), (request, response) => {
      counters.handlerRuns++
      response.setHeader('content-type', jsonType)
      response.send(itemText(Number(request.params.id), bodyBytes))
    })
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return {
      port,
      close: async () => {
        redisClient.end(true)
        server.closeAllConnections()
        server.close()
      }
    }
  }
}
