import { setTimeout as sleep } from 'node:timers/promises'
import Redis from 'ioredis'
import { askForAll, checkAnswers } from './answers.js'
import { load } from './load.js'
import { lastingLine, progress } from './progress.js'
import type { BenchRedis } from './redis.js'
import { ServerProcess } from './server-process.js'
import type { Scenario, Subject } from './subjects/subject.js'

export interface Case {
  subject: Subject
  scenario: Omit<Scenario, 'redisUrl'>
  keys: number
  connections: number
}

export interface Timing {
  rounds: number
  /** Of one measured window. */
  seconds: number
  warmup: number
}

/** One subject in one round. */
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

export interface Outcome {
  /** By name of the subject, one sample a round. */
  samples: Map<string, Sample[]>
  /** By name of the subject: why it could not be measured, or what was wrong with its answers. */
  refused: Map<string, string>
  wrong: boolean
}

const checksPerWindow = 3

/** Ids that nobody has asked for yet: for the load, and far from them for the checks. */
let nextId = 1_000_000
let nextCheck = 9_000_000_000

/** A case with its server running. */
class Contender {
  readonly case: Case
  readonly server: ServerProcess
  readonly #redis: Redis

  constructor (what: Case, server: ServerProcess, redis: Redis) {
    this.case = what
    this.server = server
    this.#redis = redis
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
      await askForAll(this.server.origin, 0, this.case.keys)
      const after = await this.server.mark()
      if (pass > 0 && after.handlerRuns === before.handlerRuns) return
    }
    throw new Error('its handler still ran after five passes over all keys')
  }

  async measure (seconds: number): Promise<Sample> {
    const { subject, scenario, keys, connections } = this.case
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
        ...(subject.header !== undefined && { header: subject.header })
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

  #check (): Promise<void> {
    const { subject, scenario, keys } = this.case
    const ids = Array.from({ length: checksPerWindow }, () =>
      subject.answeredBy === 'handler' ? nextCheck++ : Math.floor(Math.random() * keys))
    return checkAnswers(this.server.origin, ids, scenario.bodyBytes, subject.header)
  }

  async #stored (answers: number): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      if (await this.#redis.dbsize() >= answers) return
      await sleep(20)
    }
    throw new Error(`${answers} answers left ${await this.#redis.dbsize()} entries in Redis`)
  }
}

/** One subject in a process of its own, from its start to its end. */
async function measureOnce (what: Case, redisUrl: string, timing: Timing): Promise<Sample> {
  const contender = await Contender.start(what, redisUrl)
  try {
    await contender.fill()
    await contender.measure(timing.warmup)
    return await contender.measure(timing.seconds)
  } finally {
    await contender.stop()
  }
}

/**
 * Rounds A B C A B C …: a busy moment of the machine then hits neighbours, not one subject alone.
 * Each time in a new process, and only one at a time: which memory a process got, and how its code
 * came to be compiled, can make a quarter of what a request costs it.
 */
export async function measureInterleaved (name: string, cases: Case[], redis: BenchRedis, timing: Timing): Promise<Outcome> {
  const outcome: Outcome = { samples: new Map(), refused: new Map(), wrong: false }
  const databases = new Map(cases.map((what) => [what, redis.database()]))
  for (let round = 1; round <= timing.rounds; round++) {
    for (const what of cases) {
      const subject = what.subject.name
      if (outcome.refused.has(subject)) continue
      try {
        const sample = await measureOnce(what, databases.get(what)!, timing)
        outcome.samples.set(subject, [...outcome.samples.get(subject) ?? [], sample])
        progress(`${name}: round ${round} of ${timing.rounds}: ${subject} ${sample.cpuMicros.toFixed(1)} µs, ${Math.round(sample.perSecond)} requests/s`)
      } catch (error) {
        outcome.wrong = true
        const text = error instanceof Error ? error.message : String(error)
        outcome.refused.set(subject, text)
        outcome.samples.delete(subject)
        lastingLine(`${name}: ${subject} is left out: ${text}`)
      }
    }
  }
  return outcome
}
