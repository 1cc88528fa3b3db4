import autocannon from 'autocannon'
import type { LoadOptions, LoadResult } from './load.js'
import { idLength, idOffset, itemText } from './payload.js'

/** The load where there is no wrk: a program of its own, told in one argument what to do. */
async function main ({ origin, seconds, connections, keys, first = 0, bodyBytes, header, pause = 0, etag }: LoadOptions): Promise<void> {
  const wrong = { status: 0, header: 0, bytes: 0, socket: 0 }
  let position = first
  const head = itemText(0, bodyBytes).slice(0, idOffset)
  const tail = itemText(0, bodyBytes).slice(idOffset + idLength)

  function nextId (): number {
    return keys > 0 ? Math.floor(Math.random() * keys) : position++
  }

  function right (body: string): boolean {
    if (etag !== undefined) return body === ''
    const id = Number(body.slice(idOffset, idOffset + idLength))
    return body.length === bodyBytes && body.startsWith(head) && id < (keys > 0 ? keys : position) && body.endsWith(tail)
  }

  const result = await autocannon({
    url: origin,
    connections,
    duration: seconds,
    sampleInt: 100,
    ...(pause > 0 && { overallRate: Math.round(connections * 1000 / pause), ignoreCoordinatedOmission: true }),
    requests: [{
      method: 'GET',
      ...(etag !== undefined && { headers: { 'if-none-match': etag } }),
      setupRequest: (request) => ({ ...request, path: `/items/${nextId()}` }),
      onResponse: (status, body, _context, headers) => {
        if (status !== (etag === undefined ? 200 : 304)) wrong.status++
        else if (header !== undefined && (headers['x-api-cache'] ?? headers['X-API-Cache']) !== header) wrong.header++
        else if (!right(body)) wrong.bytes++
      }
    }]
  })
  wrong.socket = result.errors
  const { p50, p99, max } = result.latency
  const answer: LoadResult = { requests: result.requests.total, seconds: result.duration, p50, p99, max, wrong }
  console.log(JSON.stringify(answer))
}

main(JSON.parse(process.argv[2] ?? '{}') as LoadOptions).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
