import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import Redis from 'ioredis'
import { askForAll, checkAnswers } from './answers.js'
import { askOverHttp1, askOverHttp2, type Ask } from './ask.js'
import { load, type Encoded } from './load.js'
import { itemText } from './payload.js'
import { lastingLine, progress } from './progress.js'
import type { Quiet } from './quiet.js'
import type { BenchRedis } from './redis.js'
import { ServerProcess } from './server-process.js'
import type { Scenario, Subject } from './subjects/subject.js'

export interface Case {
  subject: Subject
  scenario: Omit<Scenario, 'redisUrl'>
  keys: number
  connections: number
  /** Whether the client has the response already, and asks whether it is still valid. */
  revalidates?: true
}

export interface Timing {
  /** How many processes each subject has, one after the other. */
  processes: number
  /** Windows measured of each process. */
  rounds: number
  /** Of one window. */
  seconds: number
  /** Of a new process, before its first window. */
  warmup: number
}

/** One subject in one window. */
export interface Sample {
  requests: number
  /** Server CPU, user and system, per request. */
  cpuMicros: number
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Share of the server's core that was used: well below 1, the load was the limit. */
  busy: number
}

/** One that counts. */
export interface Counted extends Sample {
  /** Microseconds that the fixed program took meanwhile. */
  fixedMicros: number
}

export interface Outcome {
  /** By name of the subject, one sample a window. */
  samples: Map<string, Counted[]>
  /** By name of the subject: why it could not be measured, or what was wrong with its answers. */
  refused: Map<string, string>
  wrong: boolean
}

const checksPerWindow = 3
/** Milliseconds in which a body is encoded for good. */
const encodingTime = 1_000

/** Ids that nobody has asked for yet: for the load, and far from them for the checks. */
let nextId = 1_000_000
let nextCheck = 9_000_000_000

/** A case with its server running. */
class Contender {
  readonly case: Case
  readonly server: ServerProcess
  readonly #redis: Redis
  readonly #ask: Ask

  constructor (what: Case, server: ServerProcess, redis: Redis) {
    this.case = what
    this.server = server
    this.#redis = redis
    this.#ask = what.scenario.http2 === true ? askOverHttp2 : askOverHttp1
  }

  static async start (what: Case, redisUrl: string): Promise<Contender> {
    const server = await ServerProcess.start(what.subject, { ...what.scenario, redisUrl })
    return new Contender(what, server, new Redis(redisUrl))
  }

  /** Asks for every key until a whole pass ran no handler. */
  async fill (): Promise<void> {
    if (this.case.subject.answeredBy === 'handler') return
    for (let pass = 0; pass < 5; pass++) {
      const before = await this.server.mark()
      await askForAll(this.#ask, this.server.origin, 0, this.case.keys)
      const after = await this.server.mark()
      if (pass > 0 && after.handlerRuns === before.handlerRuns) return await this.#encode()
    }
    throw new Error('its handler still ran after five passes over all keys')
  }

  /** Asks until a body is kept encoded. */
  async #encode (): Promise<void> {
    const { accepts } = this.case.subject
    if (accepts === undefined) return
    await this.#encoded(accepts)
    await sleep(encodingTime)
    await this.#encoded(accepts)
    await sleep(encodingTime)
  }

  async measure (seconds: number): Promise<Sample> {
    const { subject, scenario, keys, connections, revalidates } = this.case
    const { bodyBytes } = scenario
    const asksOnce = subject.answeredBy === 'handler'
    if (subject.stores) await this.#redis.flushdb()
    await this.#check()

    const before = await this.server.mark()
    const [result] = await Promise.all([
      load({
        origin: this.server.origin,
        seconds,
        connections,
        bodyBytes,
        keys: asksOnce ? 0 : keys,
        first: nextId,
        ...(subject.header !== undefined && { header: subject.header }),
        ...(scenario.http2 && { http2: true }),
        ...(revalidates && { etag: await this.#etag() }),
        ...(subject.accepts !== undefined && { encoded: await this.#encoded(subject.accepts) })
      }),
      sleep(seconds * 500).then(() => this.#check())
    ])
    if (subject.stores) await this.#stored(result.requests)
    const after = await this.server.mark()
    await this.#check()

    nextId += result.requests + connections
    const requests = result.requests + checksPerWindow
    const runs = after.handlerRuns - before.handlerRuns
    if (Object.values(result.wrong).some((count) => count > 0)) throw new Error(`wrong answers: ${JSON.stringify(result.wrong)}`)
    if (!asksOnce && runs > 0) throw new Error(`${runs} of ${requests} answers came from the handler`)
    if (subject.header === 'MISS' && runs < requests) throw new Error(`the handler ran ${runs} times for ${requests} answers`)
    const cpuMicros = after.cpuMicros - before.cpuMicros
    return {
      requests,
      cpuMicros: cpuMicros / requests,
      perSecond: result.requests / result.seconds,
      p50: result.p50,
      p99: result.p99,
      busy: cpuMicros / (result.seconds * 1e6)
    }
  }

  async stop (): Promise<void> {
    await this.server.stop()
    await this.#redis.flushdb('ASYNC')
    this.#redis.disconnect()
  }

  async #etag (): Promise<string> {
    const { header } = await this.#ask(this.server.origin, '/items/0')
    const etag = header('etag')
    if (etag === undefined) throw new Error('it sends no ETag')
    return etag
  }

  async #encoded (coding: 'br' | 'gzip'): Promise<Encoded> {
    const [response] = await once(get(`${this.server.origin}/items/0`, { headers: { 'accept-encoding': coding } }), 'response') as [IncomingMessage]
    const bytes = await buffer(response)
    if (response.headers['content-encoding'] !== coding) throw new Error(`it sends no ${coding}`)
    const decoded = coding === 'br' ? brotliDecompressSync(bytes) : gunzipSync(bytes)
    if (decoded.toString() !== itemText(0, this.case.scenario.bodyBytes)) throw new Error('it encodes another body')
    return { coding, bytes }
  }

  #check (): Promise<void> {
    const { subject, scenario, keys } = this.case
    const ids = Array.from({ length: checksPerWindow }, () =>
      subject.answeredBy === 'handler' ? nextCheck++ : Math.floor(Math.random() * keys))
    return checkAnswers(this.#ask, this.server.origin, ids, scenario.bodyBytes, subject.header)
  }

  async #stored (answers: number): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      if (await this.#redis.dbsize() >= answers) return
      await sleep(20)
    }
    throw new Error(`${answers} answers left ${await this.#redis.dbsize()} entries in Redis`)
  }
}

export interface Conditions {
  redis: BenchRedis
  quiet: Quiet
  timing: Timing
}

/**
 * Measures all cases side by side, their servers running at the same time, in short windows
 * A B C … C B A …, each while the machine is quiet: a drift then hits neither the first nor the last.
 * Again with new processes each time, as the memory that one got, and how its code came to be
 * compiled, can make a quarter of what a request costs it.
 */
export async function measureInterleaved (name: string, cases: Case[], { redis, quiet, timing }: Conditions): Promise<Outcome> {
  const { processes, rounds, seconds, warmup } = timing
  const outcome: Outcome = { samples: new Map(), refused: new Map(), wrong: false }
  const databases = new Map(cases.map((what) => [what, redis.database()]))

  async function trying<T> ({ subject }: Case, work: () => Promise<T>): Promise<T | undefined> {
    if (outcome.refused.has(subject.name)) return undefined
    try {
      return await work()
    } catch (error) {
      outcome.wrong = true
      const text = error instanceof Error ? error.message : String(error)
      outcome.refused.set(subject.name, text)
      outcome.samples.delete(subject.name)
      lastingLine(`${name}: ${subject.name} is left out: ${text}`)
      return undefined
    }
  }

  for (let process = 1; process <= processes; process++) {
    const contenders: Contender[] = []
    for (const what of cases) {
      const contender = await trying(what, () => Contender.start(what, databases.get(what)!))
      if (contender === undefined) continue
      contenders.push(contender)
      progress(`${name}: process ${process} of ${processes}: ${what.subject.name} fills and warms up`)
      await trying(what, async () => {
        await contender.fill()
        await contender.measure(warmup)
      })
    }
    for (let round = 1; round <= rounds; round++) {
      for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
        const { subject } = contender.case
        const window = await trying(contender.case, () => quiet.window(() => contender.measure(seconds)))
        if (window === undefined) continue
        const { measured: sample, micros: fixedMicros } = window
        outcome.samples.set(subject.name, [...outcome.samples.get(subject.name) ?? [], { ...sample, fixedMicros }])
        progress(`${name}: process ${process} of ${processes}, round ${round} of ${rounds}: ${subject.name} ${sample.cpuMicros.toFixed(1)} µs, ${Math.round(sample.perSecond)} requests/s`)
      }
    }
    for (const contender of contenders) await contender.stop()
  }
  return outcome
}
