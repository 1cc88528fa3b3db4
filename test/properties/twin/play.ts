import type { ApiCacheOptions } from '../../../index.js'
import { build, type Data, type Release } from './application.js'
import type { TwinAnswers } from './case.js'
import type { Application, Asked, Sequence } from './description.js'
import { untouched } from './hooks.js'
import { judge, unconditional } from './oracle.js'
import { Tags } from './tags.js'
import type { Answer, Asking, Client, Transport } from './transport.js'

/** Where entries are kept, and how requests come. */
export interface Place {
  readonly options: ApiCacheOptions
  readonly transport: Transport
  readonly http2?: boolean
  /** Whether a write through one release may reach another one a moment later. */
  readonly lags?: boolean
}

/** What has been asked for, and what came of it. */
export interface Counts {
  requests: number
  hits: number
  collapsed: number
  notModified: number
  parts: number
  writes: number
}

export const noCounts = (): Counts => ({ requests: 0, hits: 0, collapsed: 0, notModified: 0, parts: 0, writes: 0 })

interface Pair {
  readonly cached: Release & { readonly client: Client }
  readonly twin: Release & { readonly client: Client }
}

/** All ETags of this process: one strong ETag belongs to one sequence of bytes, whoever sent it. */
const tags = new Tags()
let prefixes = 0

/** Sends the same requests to an application with the plugin and to its twin without; throws where they differ. */
export async function play (application: Application, { callers, steps }: Sequence, place: Place, counts: Counts): Promise<void> {
  const data: Data = { count: 0 }
  const cache = { ...place.options, prefix: `twin-${++prefixes}` }
  const releases = application.releases === 'one' ? [0] : [0, 1]
  const pairs: Pair[] = []
  const seen: string[] = []
  try {
    for (const release of releases) {
      const building = { data, release, http2: place.http2 === true }
      pairs.push({
        cached: await opened(await build(application, { ...building, cache }), place),
        twin: await opened(await build(application, building), place)
      })
    }
    const pairOf = (release: number): Pair => pairs[release % pairs.length]!
    for (const [index, step] of steps.entries()) {
      if ('write' in step) {
        for (const pair of place.lags === true ? pairs : [pairOf(step.write)]) await write(pair, counts)
        continue
      }
      const asked = step.ask.map((one) => {
        const headers = { ...callers[one.caller % callers.length], ...resolved(one.headers, seen) }
        return { pair: pairOf(one.release), asking: { method: methodOf(one, application), path: one.path, headers } }
      })
      await askAll(application, asked, { index, counts, seen })
    }
  } finally {
    for (const { cached, twin } of pairs) await Promise.all([cached.client.close(), twin.client.close()])
  }
}

const opened = async (release: Release, { transport }: Place): Promise<Release & { client: Client }> =>
  ({ ...release, client: await transport(release.app) })

async function write ({ cached }: Pair, counts: Counts): Promise<void> {
  const { status } = await cached.client.ask({ method: 'POST', path: '/', headers: { host: 'shop.example' } })
  if (status !== 200) throw new Error(`a write was answered ${status}`)
  counts.writes++
}

interface Turn {
  readonly index: number
  readonly counts: Counts
  readonly seen: string[]
}

async function askAll (
  application: Application, asked: ReadonlyArray<{ pair: Pair, asking: Asking }>, { index, counts, seen }: Turn
): Promise<void> {
  const answers = await Promise.all(asked.map(({ pair, asking }) => pair.cached.client.ask(asking)))
  for (const { pair } of asked) await pair.cached.app.apiCache.settled()
  for (const [at, { pair, asking }] of asked.entries()) {
    const got = answers[at]!
    count(got, counts)
    const twin = await askTwin(pair.twin, asking)
    const found = judge({ application, asking, twin, tags }, got)
    if (found.length > 0) throw new Error(told(index, asking, got, found))
    const tag = got.headers['etag']
    if (tag !== undefined && tag !== seen[0]) seen.unshift(tag)
  }
}

function told (index: number, { method, path, headers }: Asking, { headers: received }: Answer, found: readonly string[]): string {
  const [nearest, ...differences] = found
  return `step ${index}: ${method} ${path} ${JSON.stringify(headers)}\n` +
    `  answered as ${received['x-api-cache'] ?? 'neither HIT nor MISS'}, ${received['cache-status'] ?? 'without Cache-Status'}\n` +
    `  ${[nearest, ...differences].join('\n    ')}`
}

async function askTwin ({ client, trace }: Pair['twin'], asking: Asking): Promise<TwinAnswers> {
  const plain = unconditional(asking)
  Object.assign(trace, untouched())
  const whole = await client.ask(plain)
  const traced = { ...trace }
  const isPlain = Object.keys(plain.headers).length === Object.keys(asking.headers).length
  const direct = isPlain ? whole : await client.ask(asking)
  const { body: bytes } = asking.method === 'HEAD' ? await client.ask({ ...plain, method: 'GET' }) : whole
  return { whole, direct, bytes, trace: traced }
}

/** Fastify itself fails to answer HEAD with a Response. */
const methodOf = ({ method }: Asked, { handler }: Application): string => handler.sends === 'Response' ? 'GET' : method

/** Headers with the ETags that they stand for. */
function resolved (headers: Asked['headers'], seen: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [
    name,
    value.replace(/(?:W\/)?etag#(\d)/g, (text, index) => {
      const tag = seen[Number(index) % Math.max(1, seen.length)] ?? '"none"'
      return text.startsWith('W/') && !tag.startsWith('W/') ? `W/${tag}` : tag
    })
  ]))
}

function count ({ status, headers }: Answer, counts: Counts): void {
  counts.requests++
  if (headers['x-api-cache'] === 'HIT') counts.hits++
  if (headers['cache-status']?.includes(';collapsed') === true) counts.collapsed++
  if (status === 304) counts.notModified++
  if (status === 206) counts.parts++
}
