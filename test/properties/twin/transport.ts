import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:http2'
import { buffer } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'

export interface Asking {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface Client {
  ask (asking: Asking): Promise<Answer>
  close (): Promise<void>
}

export type Transport = (app: FastifyInstance) => Promise<Client>

/** Without a socket. */
export const injected: Transport = async (app) => ({
  async ask ({ method, path, headers }) {
    const { statusCode, headers: received, rawPayload } = await app.inject({ method: method as 'GET', url: path, headers })
    return { status: statusCode, headers: texts(received), body: rawPayload }
  },
  close: () => app.close() as unknown as Promise<void>
})

export const overHttp1: Transport = async (app) => {
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const agent = new Agent({ keepAlive: true })
  return {
    async ask ({ method, path, headers }) {
      const asking = request(origin + path, { method, headers, agent }).end()
      const [response] = await once(asking, 'response') as [import('node:http').IncomingMessage]
      const body = await buffer(response)
      return { status: response.statusCode!, headers: texts(response.headers), body }
    },
    async close () {
      agent.destroy()
      await app.close()
    }
  }
}

export const overHttp2: Transport = async (app) => {
  const session = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  return {
    async ask ({ method, path, headers: { host, ...headers } }) {
      const stream = session.request({ ':method': method, ':path': path, ':authority': host!, ...headers })
      stream.end()
      const [received] = await once(stream, 'response') as [import('node:http2').IncomingHttpHeaders]
      const body = await buffer(stream)
      return { status: Number(received[':status']), headers: texts(received), body }
    },
    async close () {
      session.destroy()
      await app.close()
    }
  }
}

function texts (headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)]))
}
