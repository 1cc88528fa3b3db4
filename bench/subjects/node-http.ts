import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { readyBodies } from './ready-bodies.js'
import { jsonType, type Subject } from './subject.js'

export const nodeHttp: Subject = {
  name: 'node-http',
  title: 'Node http, a ready Buffer',
  group: 'limit',
  answeredBy: 'cache',
  async start ({ bodyBytes }) {
    const ready = readyBodies(bodyBytes)
    const server = createServer((request, response) => {
      const body = ready(Number(request.url?.slice('/items/'.length)))
      response.writeHead(200, { 'content-type': jsonType, 'content-length': body.length })
      response.end(body)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return {
      port,
      close: async () => {
        server.closeAllConnections()
        server.close()
      }
    }
  }
}
