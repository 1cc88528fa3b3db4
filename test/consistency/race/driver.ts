import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startChild, type Child } from '../../support/child-process.js'
import { Random } from '../../support/random.js'
import { startRedis } from '../../support/redis-server.js'
import { staleReads, type Call, type StaleRead } from './history.js'
import { registers, type Register } from './registers.js'
import type { ServerSettings } from './server.js'
import type { StoreName } from './stores.js'

export interface RaceSettings {
  readonly store: StoreName
  readonly seed: number
  readonly reads: number
  readonly writes: number
  readonly servers: number
  /** Calls under way at a time. */
  readonly clients: number
  /** Without the comparison of versions. */
  readonly broken: boolean
}

export interface RaceResult {
  readonly reads: number
  readonly writes: number
  readonly hits: number
  /** Calls that a killed server did not answer. */
  readonly unanswered: number
  readonly kills: number
  /** Versions that Redis was made to lose. */
  readonly lost: number
  readonly seconds: number
  readonly stale: readonly StaleRead[]
}

/** Calls between two kills, about; more in a long run, which else would do little but start servers. */
const CALLS_PER_KILL = 3_000
const MAX_KILLS = 100
/** Calls between two losses of versions in Redis, about. */
const CALLS_PER_LOSS = 1_000
/** Of the calls, those that read what the same client wrote just before. */
const READ_OWN_WRITE = 0.5

/** One server process at a time; the next one takes over when it is killed. */
class Server {
  readonly agent = new Agent({ keepAlive: true })
  readonly owner: string
  readonly #settings: ServerSettings
  #child: Child<{ port: number }> | undefined
  #generation = 0

  constructor (settings: ServerSettings) {
    this.owner = settings.owner
    this.#settings = settings
  }

  get port (): number | undefined {
    return this.#child?.hello.port
  }

  async start (): Promise<void> {
    const settings: ServerSettings = { ...this.#settings, seed: this.#settings.seed + ++this.#generation }
    this.#child = await startChild(join(__dirname, 'server.js'), JSON.stringify(settings))
  }

  async kill (): Promise<void> {
    const child = this.#child
    this.#child = undefined
    await child?.kill()
  }
}

/** Something that happens every so many calls, about, and not twice at a time. */
class Disturbance {
  readonly #mean: number
  readonly #random: Random
  readonly #happen: () => Promise<void>
  #left: number
  #happening: Promise<void> | undefined

  constructor (mean: number, random: Random, happen: () => Promise<void>) {
    this.#mean = mean
    this.#random = random
    this.#happen = happen
    this.#left = random.next() * 2 * mean
  }

  get over (): Promise<void> | undefined {
    return this.#happening
  }

  called (): void {
    if (this.#left-- > 0 || this.#happening !== undefined) return
    this.#left = this.#random.next() * 2 * this.#mean
    this.#happening = this.#happen().finally(() => { this.#happening = undefined })
  }
}

/** Reads and writes at random from many clients at once while servers die, and checks what they saw. */
export async function race (settings: RaceSettings): Promise<RaceResult> {
  const { store, seed, broken, clients } = settings
  const random = new Random(seed)
  const redis = await startRedis()
  const counters = await startChild<{ port: number }>(join(__dirname, 'counters.js'))
  const servers = Array.from({ length: settings.servers }, (_, index) => new Server({
    store,
    seed: seed + 1_000_000 * (index + 1),
    redisPort: redis.port,
    countersPort: counters.hello.port,
    owner: store === 'memory' ? `server-${index}-` : '',
    broken
  }))
  const client = new Redis({ port: redis.port, host: '127.0.0.1' })
  const history: Call[] = []
  let reads = 0
  let writes = 0
  let kills = 0
  let lost = 0

  async function call (server: Server, kind: Call['kind'], register: Register): Promise<Call> {
    const path = kind === 'read' ? random.of(register.reads) : register.write
    const start = performance.now()
    const { value, cache } = await ask(server, kind === 'read' ? 'GET' : 'POST', path)
    const made = { register: server.owner + register.name, kind, path, start, end: performance.now(), value, cache }
    history.push(made)
    for (const disturbance of disturbances) disturbance.called()
    return made
  }

  async function runClient (): Promise<void> {
    while (reads < settings.reads || writes < settings.writes) {
      const up = servers.filter(({ port }) => port !== undefined)
      if (up.length === 0) {
        await delay(10)
        continue
      }
      const server = random.of(up)
      const register = random.of(registers)
      const left = { reads: settings.reads - reads, writes: settings.writes - writes }
      if (random.next() * (Math.max(left.reads, 0) + Math.max(left.writes, 0)) >= left.writes) {
        reads++
        await call(server, 'read', register)
      } else {
        writes++
        const written = await call(server, 'write', register)
        if (written.value === undefined || !random.chance(READ_OWN_WRITE)) continue
        reads++
        await call(store === 'memory' ? server : random.of(up), 'read', register)
      }
    }
  }

  async function killServer (): Promise<void> {
    const server = random.of(servers)
    kills++
    await server.kill()
    await server.start()
  }

  async function loseVersions (): Promise<void> {
    const versions = (await client.keys('api-cache!*')).sort()
    if (versions.length === 0) return
    lost++
    await (random.chance(0.1) ? client.flushall() : client.del(random.of(versions)))
  }

  const disturbances = [new Disturbance(Math.max(CALLS_PER_KILL, (settings.reads + settings.writes) / MAX_KILLS), random, killServer)]
  if (store !== 'memory') disturbances.push(new Disturbance(CALLS_PER_LOSS, random, loseVersions))

  const began = performance.now()
  try {
    await Promise.all(servers.map((server) => server.start()))
    await Promise.all(Array.from({ length: clients }, runClient))
    await Promise.all(disturbances.map((disturbance) => disturbance.over))
  } finally {
    client.disconnect()
    await Promise.all([...servers.map((server) => server.kill()), counters.kill()])
    for (const { agent } of servers) agent.destroy()
    await redis.stop()
  }
  const answered = history.filter(({ value }) => value !== undefined)
  return {
    reads: answered.filter(({ kind }) => kind === 'read').length,
    writes: answered.filter(({ kind }) => kind === 'write').length,
    hits: answered.filter(({ cache }) => cache === 'HIT').length,
    unanswered: history.length - answered.length,
    kills,
    lost,
    seconds: (performance.now() - began) / 1000,
    stale: staleReads(history)
  }
}

function ask ({ port, agent }: Server, method: string, path: string): Promise<{ value: number | undefined, cache: string | undefined }> {
  return new Promise((resolve) => {
    const failed = (): void => { resolve({ value: undefined, cache: undefined }) }
    const call = request({ host: '127.0.0.1', port, agent, method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', failed).on('end', () => {
        if (response.statusCode !== 200 || !response.complete) return failed()
        resolve({ value: (JSON.parse(text) as { value: number }).value, cache: response.headers['x-api-cache'] as string | undefined })
      })
    })
    call.on('error', failed).end()
  })
}

/** What a race came to, in a few lines. */
export function report (settings: RaceSettings, result: RaceResult): string {
  const { reads, writes, hits, unanswered, kills, lost, seconds, stale } = result
  const examples = stale.slice(0, 3).map(({ read, write }) =>
    `  ${read.path} answered ${read.value} (${read.cache}) from ${read.start.toFixed(2)} to ${read.end.toFixed(2)} ms, ${write.value} was acknowledged at ${write.end.toFixed(2)} ms`)
  return [
    `${settings.store} store, ${settings.servers} servers, ${settings.clients} clients, seed ${settings.seed}${settings.broken ? ', version check removed' : ''}`,
    `${reads} reads (${(100 * hits / reads).toFixed(1)} % HIT), ${writes} writes, ${unanswered} unanswered, ${kills} kills, ${lost} losses of versions, ${seconds.toFixed(1)} s`,
    `${stale.length} stale reads`,
    ...examples
  ].join('\n')
}
