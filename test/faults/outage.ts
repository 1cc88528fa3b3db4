import { setTimeout as delay } from 'node:timers/promises'
import type { ApiCacheOptions } from '../../index.js'
import { startTraffic, type Sample } from './traffic.js'

/** Something that goes wrong with Redis, and how it is put right again. */
export interface Fault {
  readonly name: string
  /** Starts what it needs. */
  stage (): Promise<Stage>
}

export interface Stage {
  /** A way to Redis for one more application. */
  redis (): ApiCacheOptions['redis']
  /** Begins the fault. */
  break (): Promise<void> | void
  /** Ends it. */
  mend (): Promise<void> | void
  stop (): Promise<void> | void
  /** The fault is there before the applications are. */
  readonly fromTheStart?: boolean
  /** Milliseconds that the fault lasts, counted from when `break` has returned. */
  readonly lasts?: number
  /** Milliseconds that Redis takes for each answer while the fault lasts: in time, so that it is waited for. */
  readonly answersIn?: number
  /** Milliseconds that a client of the user's may take to look for Redis once more. */
  readonly reconnectsIn?: number
}

/** What was seen in two applications under traffic, before, during and after a fault. */
export interface Report {
  readonly fault: string
  readonly requests: number
  /** Answered by something else than 200. */
  readonly refused: number
  /** The slowest answer of all, in milliseconds. */
  readonly slowest: number
  /** Of the requests that came while the fault lasted and was known: the slowest, 99 and 90 of 100. */
  readonly slowestKnown: number
  readonly p99Known: number
  readonly p90Known: number
  /** The same on a route without a cache: what the machine itself took. */
  readonly p99Uncached: number
  readonly p90Uncached: number
  /** Stale answers to requests that came when both applications had found Redis again, and of all. */
  readonly staleAfter: number
  readonly stale: number
  /** Milliseconds from the end of the fault until both applications answered from the cache. */
  readonly resumed: number
  /** Warnings and errors in the log. */
  readonly complaints: number
  readonly pending: number
  /** Whether both applications had given up on the store when the fault ended. */
  readonly gaveUp: boolean
  /** Of what the slowest may be: what the store took for each of its answers, in time. */
  readonly answeredIn: number
  readonly reconnectsIn: number
}

const BEFORE = 700
const DURING = 1_800
const AFTER = 1_200
/** Milliseconds after which a fault has to be known: one timeout, and what may still be on its way. */
const NOTICED = 800
/** Longest wait for the cache to be used again. */
const PATIENCE = 15_000

export async function observe (fault: Fault): Promise<Report> {
  const stage = await fault.stage()
  try {
    if (stage.fromTheStart === true) await stage.break()
    const traffic = await startTraffic([stage.redis(), stage.redis()])
    try {
      if (stage.fromTheStart !== true) {
        await Promise.all(traffic.apps.map((_app, app) => traffic.first((sample) => isHit(sample, app))))
        await delay(BEFORE)
        await stage.break()
      }
      const broken = performance.now()
      await delay(stage.lasts ?? DURING)
      const gaveUp = traffic.apps.every((app) => !app.apiCache.stats().available)
      await stage.mend()
      const mended = performance.now()
      const served = Promise.all(traffic.apps.map((_app, app) => traffic.first((sample) => sample.at > mended && isHit(sample, app))))
      const hits = await Promise.race([served, delay(PATIENCE, [], { ref: false })])
      const resumed = hits.length === 0 ? Infinity : Math.max(...hits.map(({ at, milliseconds }) => at + milliseconds)) - mended
      await delay(AFTER)
      const pending = traffic.apps.reduce((sum, app) => sum + app.apiCache.stats().pending, 0)
      await traffic.stop()

      const { samples } = traffic
      const whileKnown = samples.filter(({ at }) => at > broken + NOTICED && at < mended)
      const known = sorted(whileKnown.filter(({ of }) => of !== 'uncached'))
      const uncached = sorted(whileKnown.filter(({ of }) => of === 'uncached'))
      return {
        fault: fault.name,
        requests: samples.length,
        refused: samples.filter(({ status }) => status !== 200).length,
        slowest: Math.max(...samples.map(({ milliseconds }) => milliseconds)),
        slowestKnown: known.at(-1) ?? 0,
        p99Known: percentile(99, known),
        p90Known: percentile(90, known),
        p99Uncached: percentile(99, uncached),
        p90Uncached: percentile(90, uncached),
        staleAfter: samples.filter(({ at, stale }) => stale && at >= mended + resumed).length,
        stale: samples.filter(({ stale }) => stale).length,
        resumed,
        complaints: traffic.log.filter(({ level }) => level >= 40).length,
        pending,
        gaveUp,
        answeredIn: stage.answersIn ?? 0,
        reconnectsIn: stage.reconnectsIn ?? 0
      }
    } finally {
      await traffic.stop()
    }
  } finally {
    await stage.stop()
  }
}

const sorted = (samples: Sample[]): number[] => samples.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b)
const percentile = (percent: number, milliseconds: number[]): number => milliseconds[Math.floor(milliseconds.length * percent / 100)] ?? 0
const isHit = (sample: Sample, app: number): boolean => sample.app === app && sample.of === 'steady' && sample.cache === 'HIT'
