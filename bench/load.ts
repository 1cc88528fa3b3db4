import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ended, killOnExit } from './children.js'
import { loadCore, onCore } from './cores.js'
import { h2load } from './h2load.js'
import { sources } from './paths.js'
import { idLength, idOffset, itemText } from './payload.js'

export interface LoadOptions {
  origin: string
  seconds: number
  connections: number
  bodyBytes: number
  /** Asks for random ids below this; 0 is for ids that never come again, from `first` on. */
  keys: number
  first?: number
  /** What X-API-Cache must say. */
  header?: 'HIT' | 'MISS'
  /** Asks whether this is still valid: every answer must be 304. */
  etag?: string
  /** Accepts this coding: every answer must be these bytes. */
  encoded?: Encoded
  /** Over HTTP/2, without TLS; needs h2load. */
  http2?: true
  /** How long a connection rests between its requests, on average, in milliseconds. */
  pause?: number
}

export interface Encoded {
  coding: string
  bytes: Buffer
}

export interface LoadResult {
  requests: number
  seconds: number
  /** Milliseconds. */
  p50: number
  p99: number
  max: number
  /** Counted answers that were not what they had to be. */
  wrong: { status: number, header: number, bytes: number, socket: number }
}

const wrkFound = spawnSync('wrk', ['-v'], { stdio: 'ignore' }).error === undefined
const autocannonAsked = process.env.BENCH_LOAD === 'autocannon'

/** wrk leaves more of its core to Redis, and measures latency in microseconds. */
export const loadGenerator = wrkFound && !autocannonAsked ? 'wrk' : 'autocannon'

/** Whole seconds after which wrk ends by itself. */
const longest = 600

const folder = mkdtempSync(join(tmpdir(), 'fastify-api-cache-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

function tailFile (bodyBytes: number): string {
  const file = join(folder, `tail-${bodyBytes}`)
  writeFileSync(file, itemText(0, bodyBytes).slice(idOffset + idLength))
  return file
}

/** The end of each answer, or the whole of it. */
function expectedFile ({ bodyBytes, encoded }: LoadOptions): string {
  if (encoded === undefined) return tailFile(bodyBytes)
  const file = join(folder, `encoded-${bodyBytes}`)
  writeFileSync(file, encoded.bytes)
  return file
}

function commandFor (options: LoadOptions): [string, string[]] {
  const { origin, connections, keys, first = 0, header = 'none', pause = 0, etag = 'none', encoded } = options
  if (loadGenerator === 'autocannon') {
    if (encoded !== undefined) throw new Error('content codings need wrk')
    return [process.execPath, [join(__dirname, 'autocannon-load.js'), JSON.stringify(options)]]
  }
  return ['wrk', [
    '-t1', `-c${connections}`, `-d${longest}s`, '--timeout', '10s', '-s', join(sources, 'wrk.lua'), origin,
    '--', String(keys), String(first), expectedFile(options), header, String(pause), etag, encoded?.coding ?? 'none'
  ]]
}

export async function load (options: LoadOptions): Promise<LoadResult> {
  if (options.http2 === true) return await h2load(options, join(folder, 'h2load'))
  const [command, args] = onCore(loadCore, ...commandFor(options))
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const { pid } = child
  if (pid !== undefined) killOnExit(pid)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { output += text })
  // wrk itself counts whole seconds only.
  const enough = loadGenerator === 'wrk' ? setTimeout(() => child.kill('SIGINT'), options.seconds * 1000) : undefined
  await once(child, 'close')
  clearTimeout(enough)
  if (pid !== undefined) ended(pid)
  const line = output.split('\n').find((line) => line.startsWith('{'))
  if (line === undefined) throw new Error(`${loadGenerator} did not finish: ${output.trim()}`)
  return JSON.parse(line) as LoadResult
}
