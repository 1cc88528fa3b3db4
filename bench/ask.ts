import { once } from 'node:events'
import { connect } from 'node:http2'
import { buffer } from 'node:stream/consumers'

export interface Answer {
  status: number
  /** The value of a header, by its name in lower case. */
  header: (name: string) => string | undefined
  body: Buffer
}

/** Asks by a client other than the load's. */
export type Ask = (origin: string, path: string) => Promise<Answer>

export const askOverHttp1: Ask = async (origin, path) => {
  const response = await fetch(origin + path)
  const body = Buffer.from(await response.arrayBuffer())
  return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body }
}

export const askOverHttp2: Ask = async (origin, path) => {
  const session = connect(origin)
  try {
    const stream = session.request({ ':path': path })
    const [headers] = await once(stream, 'response') as [Record<string, string | number | undefined>]
    const header = (name: string): string | undefined => headers[name]?.toString()
    return { status: Number(headers[':status']), header, body: await buffer(stream) }
  } finally {
    session.close()
  }
}
