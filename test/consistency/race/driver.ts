import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startChild, type Child } from '../../support/child-process.js'
import { Random } from '../../support/random.js'
import { startBackend } from './backend.js'
import { seen, staleReads, type Call, type StaleRead } from './history.js'
import { registers, type Register } from './registers.js'
import type { ServerSettings } from './server.js'
import type { WriterSettings } from './writer.js'
import { LAG, type Broken, type StoreName } from './stores.js'

export interface RaceSettings {
  readonly store: StoreName
  readonly seed: number
  readonly reads: number
  readonly writes: number
  readonly servers: number
  /** Calls under way at a time. */
  readonly clients: number
  /** How often Redis breaks down meanwhile. */
  readonly outages: number
  /** What the plugin is made to do wrong. */
  readonly broken?: Broken
}

export interface RaceResult {
  readonly reads: number
  readonly writes: number
  /** Of these, how many each writer without a server has made. */
  readonly written: readonly number[]
  readonly hits: number
  /** Calls that a killed server did not answer. */
  readonly unanswered: number
  /** Answers that were no 200, and calls that a server which lived on did not answer. */
  readonly refused: number
  /** What they were. */
  readonly refusals: readonly string[]
  /** Failures that were asked for: writes whose outcome the answer does not tell, and reads whose handler failed. */
  readonly failed: number
  /** Writes that were acknowledged before Redis knew of them. */
  readonly undelivered: number
  readonly kills: number
  /** Versions that Redis was made to lose. */
  readonly lost: number
  readonly outages: number
  readonly seconds: number
  readonly stale: readonly StaleRead[]
  /** How many reads were made before the first of them. */
  readonly before: number | undefined
  /** Reads that were behind a write of another process, but no longer than their store may be. */
  readonly lagging: number
  /** Reads that were behind soft writes only, within their time. */
  readonly bridged: number
}

/** Calls between two kills, about; more in a long run, which else would do little but start servers. */
const CALLS_PER_KILL = 3_000
const MAX_KILLS = 100
/** Calls between two losses of versions in Redis, about. */
const CALLS_PER_LOSS = 1_000
/** Longest pause of a client between two calls, in milliseconds, where outages and what is between them take their time. */
const LONGEST_PAUSE = 60
/** Stores in one Redis, which other writers reach. */
const STAND_ALONE: ReadonlySet<StoreName> = new Set<StoreName>(['redis', 'local', 'tracked'])
/** Of the calls, those that read what the same client wrote just before. */
const READ_OWN_WRITE = 0.5

/** One server process at a time; the next one takes over when it is killed. */
class Server {
  readonly agent = new Agent({ keepAlive: true })
  readonly owner: string
  /** It is no server, and has no soft writes. */
  readonly writesHard: boolean
  readonly #settings: ServerSettings
  readonly #program: string
  #child: Child<{ port: number }> | undefined
  #generation = 0

  constructor (settings: ServerSettings, program = 'server.js') {
    this.owner = settings.owner
    this.#settings = settings
    this.#program = program
    this.writesHard = program !== 'server.js'
  }

  get port (): number | undefined {
    return this.#child?.hello.port
  }

  /** Another one after each start. */
  get name (): string {
    return `${this.#settings.index}.${this.#generation}`
  }

  async start (): Promise<void> {
    const settings: ServerSettings = { ...this.#settings, seed: this.#settings.seed + ++this.#generation }
    this.#child = await startChild(join(__dirname, this.#program), JSON.stringify(settings))
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
  if (settings.outages > 0 && store === 'memory') throw new Error('no outages with the memory store')
  const backend = await startBackend(store, new Random(seed + 1))
  const counters = await startChild<{ port: number }>(join(__dirname, 'counters.js'))
  const settingsOf = (index: number): ServerSettings => ({
    store,
    index,
    outages: settings.outages > 0,
    seed: seed + 1_000_000 * (index + 1),
    redisPort: backend.port,
    countersPort: counters.hello.port,
    owner: store === 'memory' ? `server-${index}-` : '',
    broken
  })
  const servers = Array.from({ length: settings.servers }, (_, index) => new Server(settingsOf(index)))
  // A job sends nothing again, and the Python client knows one server: without outages, and not on a Cluster.
  const speaking: ReadonlyArray<WriterSettings['speaks']> = settings.outages === 0 && STAND_ALONE.has(store) ? ['JavaScript', 'Python'] : []
  const writers = speaking.map((speaks, index) => {
    const written: WriterSettings = { ...settingsOf(settings.servers + index), speaks }
    return new Server(written, 'writer.js')
  })
  // Its writers hold what they write, which the Python client does not.
  const writersOf = ({ fails }: Register): readonly Server[] => fails === 'write' ? writers.slice(0, 1) : writers
  const history: Call[] = []
  let reads = 0
  let writes = 0
  let kills = 0
  let lost = 0
  let outages = 0
  const refusals: string[] = []
  let failed = 0

  async function call (server: Server, kind: Call['kind'], register: Register, isHard = server.writesHard): Promise<Call> {
    const write = isHard ? register.writes[0]! : random.of(register.writes)
    const path = kind === 'read' ? random.of(register.reads) : write.path
    const start = performance.now()
    const { name, port } = server
    const { status, value, cache, pending } = await ask(server, kind === 'read' ? 'GET' : 'POST', path)
    const lives = port !== undefined && server.port === port
    if (status !== undefined && status >= 500 && register.fails === kind) failed++
    else if (status === undefined ? lives : status !== 200) refusals.push(`${kind} ${path} of ${name}: ${status}`)
    const made = { register: server.owner + register.name, kind, path, server: name, start, end: performance.now(), value, cache, pending }
    history.push(kind === 'read' ? made : { ...made, soft: write.soft, names: server.owner + register.names })
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
      if (settings.outages > 0) await delay(random.next() * LONGEST_PAUSE)
      const server = random.of(up)
      const register = random.of(registers)
      const left = { reads: settings.reads - reads, writes: settings.writes - writes }
      if (random.next() * (Math.max(left.reads, 0) + Math.max(left.writes, 0)) >= left.writes) {
        reads++
        await call(server, 'read', register)
      } else {
        writes++
        const written = await call(random.of([...up, ...writersOf(register)]), 'write', register)
        if (written.value === undefined || !random.chance(READ_OWN_WRITE)) continue
        const readAgain = async (): Promise<unknown> => {
          reads++
          return await call(store === 'memory' ? server : random.of(up), 'read', register)
        }
        await readAgain()
        if (register.writes.length === 1) continue
        // What a soft write has made old is read until another process has written, and then no more.
        await readAgain()
        writes++
        await call(random.of([...up, ...writersOf(register)]), 'write', register, true)
        await readAgain()
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
    try {
      await backend.loseVersions()
      lost++
    } catch {
      // Redis is down.
    }
  }

  async function breakDown (): Promise<void> {
    if (outages === settings.outages) return
    outages++
    await backend.breakDown()
  }

  const disturbances = [new Disturbance(Math.max(CALLS_PER_KILL, (settings.reads + settings.writes) / MAX_KILLS), random, killServer)]
  if (store !== 'memory') disturbances.push(new Disturbance(CALLS_PER_LOSS, random, loseVersions))
  // Twice as often as they are wanted: the last one has to be over before the race is.
  if (settings.outages > 0) disturbances.push(new Disturbance((settings.reads + settings.writes) / settings.outages / 2, random, breakDown))

  const began = performance.now()
  try {
    await Promise.all([...servers, ...writers].map((server) => server.start()))
    await Promise.all(Array.from({ length: clients }, runClient))
    await Promise.all(disturbances.map((disturbance) => disturbance.over))
  } finally {
    await Promise.all([...servers, ...writers, counters].map((child) => child.kill()))
    for (const { agent } of [...servers, ...writers]) agent.destroy()
    await backend.stop()
  }
  // A hold is lost with its Redis.
  const monotonic = new Set(settings.outages > 0 ? [] : registers.filter(({ fails }) => fails === 'write').map(({ name }) => name))
  const known = [...history, ...seen(history, ({ register }) => monotonic.has(register.replace(/^server-\d+-/, '')))]
  const stale = staleReads(known, LAG[store])
  const [first] = stale.map(({ read }) => read).sort((a, b) => a.start - b.start)
  const answered = history.filter(({ value }) => value !== undefined)
  return {
    reads: answered.filter(({ kind }) => kind === 'read').length,
    writes: answered.filter(({ kind }) => kind === 'write').length,
    written: writers.map(({ name }) => answered.filter(({ kind, server }) => kind === 'write' && server === name).length),
    hits: answered.filter(({ cache }) => cache === 'HIT').length,
    unanswered: history.length - answered.length - refusals.length - failed,
    refused: refusals.length,
    refusals,
    failed,
    undelivered: answered.filter(({ kind, pending }) => kind === 'write' && pending !== 0).length,
    kills,
    lost,
    outages,
    seconds: (performance.now() - began) / 1000,
    stale,
    before: first && history.filter(({ kind, start }) => kind === 'read' && start < first.start).length,
    lagging: staleReads(known).length - stale.length,
    bridged: staleReads(known.map((call) => ({ ...call, soft: 0 })), LAG[store]).length - stale.length
  }
}

interface Answer {
  readonly status?: number
  readonly value: number | undefined
  readonly cache?: string
  readonly pending?: number
}

function ask ({ port, agent }: Server, method: string, path: string): Promise<Answer> {
  return new Promise((resolve) => {
    const failed = (): void => { resolve({ value: undefined }) }
    const call = request({ host: '127.0.0.1', port, agent, method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', failed).on('end', () => {
        if (!response.complete) return failed()
        const { statusCode: status, headers } = response
        resolve({
          status,
          value: status === 200 ? (JSON.parse(text) as { value: number }).value : undefined,
          cache: headers['x-api-cache'] as string | undefined,
          pending: Number(headers['x-pending'])
        })
      })
    })
    call.on('error', failed).end()
  })
}

/** What a race came to, in a few lines. */
export function report (settings: RaceSettings, result: RaceResult): string {
  const { reads, writes, written, hits, unanswered, refusals, refused, failed, undelivered, kills, lost, outages, seconds, stale, before, lagging, bridged } = result
  const examples = stale.slice(0, 3).map(({ read, write }) =>
    `  ${read.path} answered ${read.value} (${read.cache}) from ${read.start.toFixed(2)} to ${read.end.toFixed(2)} ms, ${write.value} was acknowledged at ${write.end.toFixed(2)} ms`)
  return [
    `${settings.store} store, ${settings.servers} servers, ${settings.clients} clients, seed ${settings.seed}${settings.broken === undefined ? '' : `, ${settings.broken} broken`}`,
    `${reads} reads (${(100 * hits / reads).toFixed(1)} % HIT), ${writes} writes${written.length === 0 ? '' : ` (${written.join(' and ')} without a server)`}, ${unanswered} unanswered, ${refused} not 200, ${failed} that were made to fail, ${kills} kills, ${lost} losses of versions, ${seconds.toFixed(1)} s`,
    `${outages} outages, ${undelivered} writes acknowledged before they were delivered`,
    `${stale.length} stale reads${before === undefined ? '' : ` (the first after ${before} others)`}, ${bridged} behind soft writes${LAG[settings.store] > 0 ? `, ${lagging} reads up to ${LAG[settings.store]} ms behind` : ''}`,
    ...refusals.slice(0, 3).map((refusal) => `  ${refusal}`),
    ...examples
  ].join('\n')
}
