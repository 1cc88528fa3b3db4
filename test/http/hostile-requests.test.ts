import { once } from 'node:events'
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import apiCache, { type ReadPolicy } from '../../index.js'
import { longestTurn } from '../support/longest-turn.js'

/** What a header may have over HTTP/2, beside the others of a request. */
const SIZE = 60_000
/** Milliseconds of CPU time in one turn of the event loop: none needs 10, and the square of its input takes hundreds. */
const LIMIT = 60

const MODIFIED = 'Mon, 02 Mar 2026 10:00:00 GMT'

const filled = (unit: string, before = '', after = ''): string =>
  before + unit.repeat(SIZE / unit.length).slice(0, SIZE - before.length - after.length) + after

function numbered (member: (index: number) => string): string {
  let text = ''
  for (let index = 0; text.length < SIZE; index++) text += member(index)
  return text.slice(0, SIZE - 1) + 'x'
}

const VALUES: Record<string, string> = {
  'the same members': filled('a,'),
  'the same members with quotes': filled('"a",'),
  'the same weak ETags': filled('W/"a",'),
  'different members': numbered((index) => `${index.toString(36)},`),
  'the same directives': filled('max-age=1,'),
  'different values of a directive': numbered((index) => `max-age=${index},`),
  'nothing but commas': filled(','),
  'nothing but separators': filled('='),
  'white space between members': filled(' ,', 'a', 'a'),
  'white space and no end': filled(' ', 'a', 'b'),
  'a quote that is not closed': filled('x', 'a="'),
  'many quotes that are not closed': filled('a="'),
  backslashes: filled('\\', 'a="'),
  'escaped quotes': filled('a="\\"'),
  'one long number': filled('1', 'max-age='),
  'the same ranges': filled('0-0,', 'bytes=', '0-0'),
  'ranges outside': filled('9999999-,', 'bytes=', '9-'),
  'a range with white space': filled(' ', 'bytes=0', '-'),
  'the same cookies': filled('a=b; '),
  'different cookies': numbered((index) => `${index}=a; `),
  'a date with much behind it': filled(' ', MODIFIED, '('),
  'weekdays without end': filled('mon, ', '', 'x'),
  'a long weekday': filled('d', 'Mon', ', 02-Mar-26 10:00:00 GMT'),
  'letters beyond ASCII': filled('é')
}

const PATHS: Record<string, string> = {
  'the same parameters': filled('a&', '?'),
  'the same parameters with values': filled('a=1&', '?'),
  'different parameters': numbered((index) => `${index === 0 ? '?' : '&'}${index.toString(36)}`),
  'parameters that are ignored': numbered((index) => `${index === 0 ? '?' : '&'}utm_${index}`),
  'nothing but separators': filled('&=', '?'),
  'what is escaped': filled('%C3%A9', '?a='),
  'what a key escapes': filled('*', '?'),
  'many segments': filled('/'),
  'segments that are escaped': filled('/%2F')
}

const cache = (policy: Partial<ReadPolicy> = {}): { cache: ReadPolicy } => ({ cache: { namespace: 'hostile', expire: 60, scope: 'shared', ...policy } })
const said = ({ headers }: FastifyRequest): string => headers['x-said'] as string | undefined ?? 'nothing'
const listed = (request: FastifyRequest): string[] => said(request).split(',').filter((name) => name !== '')

function declare (app: FastifyInstance): void {
  app.get('/', { config: cache() }, async (_request, reply) => {
    reply.headers({ etag: '"abc"', 'last-modified': MODIFIED })
    return 'abcdefghij'
  })
  app.get('/anonymous', { config: cache({ scope: 'anonymous' }) }, async () => 'answer')
  app.get('/cookie', { config: cache({ vary: ['cookie'] }) }, async () => 'answer')
  app.get('/vary', { config: cache({ vary: ['x-said'] }) }, async () => 'answer')
  app.get('/varying', { config: cache() }, async (_request, reply) => {
    reply.header('vary', 'x-said')
    return 'answer'
  })
  app.get('/scope', { config: cache({ scope: said }) }, async () => 'answer')
  app.get('/key', { config: cache({ key: said }) }, async () => 'answer')
  app.get('/namespace', { config: cache({ namespace: said }) }, async () => 'answer')
  app.get('/tags', { config: cache({ tags: listed }) }, async () => 'answer')
  app.get('/payload-tags', { config: cache({ tags: (request, _payload) => listed(request) }) }, async () => 'answer')
  app.get('/query', { config: cache({ ignoreQuery: ['utm_*', '*a*b*c'] }) }, async () => 'answer')
  app.get('/path/*', { config: cache() }, async () => 'answer')
  // What a handler repeats may come from a server behind it.
  app.get<{ Params: { name: string } }>('/upstream/:name', { config: cache() }, async (request, reply) => {
    reply.header(request.params.name, said(request))
    return 'answer'
  })
}

async function starting (t: Test): Promise<{ app: FastifyInstance, session: ClientHttp2Session }> {
  // The types of HTTP/2 would be other ones for all that follows.
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory' })
  declare(app)
  const session = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => { session.destroy() })
  return { app, session }
}

/** Sends a request twice, for a MISS and for what follows it. */
async function check (t: Test, { app, session }: Awaited<ReturnType<typeof starting>>, what: string, headers: Record<string, string>): Promise<void> {
  const turn = await longestTurn(LIMIT, async () => {
    await app.apiCache.invalidate('hostile')
    for (let request = 0; request < 2; request++) {
      const stream = session.request(headers, { endStream: true })
      const [{ ':status': status }] = await once(stream, 'response') as [IncomingHttpHeaders & { ':status': number }]
      stream.resume()
      await once(stream, 'end')
      await app.apiCache.settled()
      if (status >= 400 && status !== 404 && status !== 416) t.fail(`${what}: answered with ${status}`)
    }
  })
  t.ok(turn < LIMIT, `${what}: ${turn.toFixed(1)} ms`)
}

const PLACES: Array<[place: string, path: string, headersFor: (value: string) => Record<string, string>]> = [
  ...['cache-control', 'pragma', 'vary', 'if-none-match', 'if-modified-since', 'range'].map((name): typeof PLACES[number] =>
    [name, '/', (value) => ({ [name]: value })]),
  ['if-range', '/', (value) => ({ range: 'bytes=0-1', 'if-range': value })],
  ['cookie', '/anonymous', (value) => ({ cookie: value })],
  ['a cookie in vary', '/cookie', (value) => ({ cookie: value })],
  ['a header in vary', '/vary', (value) => ({ 'x-said': value })],
  ['a header in the handler\'s Vary', '/varying', (value) => ({ 'x-said': value })],
  ...['scope', 'key', 'namespace', 'tags', 'payload-tags'].map((field): typeof PLACES[number] =>
    [`what a function takes for ${field}`, `/${field}`, (value) => ({ 'x-said': value })]),
  ...['cache-control', 'expires', 'date', 'age', 'vary', 'cache-status', 'etag', 'last-modified'].map((name): typeof PLACES[number] =>
    [`${name} of an answer`, `/upstream/${name}`, (value) => ({ 'x-said': value, 'if-none-match': '"abc"', 'if-modified-since': MODIFIED })])
]

for (const [place, path, headersFor] of PLACES) {
  t.test(`64 KB in ${place} do not block the event loop, whatever they contain`, async (t) => {
    const server = await starting(t)
    for (const [what, value] of Object.entries(VALUES)) await check(t, server, what, { ':path': path, ...headersFor(value) })
  })
}

for (const path of ['/query', '/path/']) {
  t.test(`64 KB after ${path} do not block the event loop, whatever they contain`, async (t) => {
    const server = await starting(t)
    for (const [what, rest] of Object.entries(PATHS)) await check(t, server, what, { ':path': path + rest })
  })
}
