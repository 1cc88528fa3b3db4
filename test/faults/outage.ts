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
}

/** What was seen in two applications under traffic, before, during and after a fault. */
export interface Report {
  readonly fault: string
  readonly requests: number
  /** Answered by something else than 200. */
  readonly refused: number
  /** The slowest answer of all, in milliseconds. */
  readonly slowest: number
  /** The slowest on a route without a cache: what the machine itself took. */
  readonly slowestUncached: number
  /** Of the requests that came while the fault lasted and was known: the slowest, and 99 of 100. */
  readonly slowestKnown: number
  readonly p99Known: number
  /** The same on the route without a cache. */
  readonly p99Uncached: number
  /** Stale answers to requests that came when both applications had found Redis again, and of all. */
  readonly staleAfter: number
  readonly stale: number
  /** Milliseconds from the end of the fault until both applications answered from the cache. */
  readonly resumed: number
  /** Warnings and errors in the log. */
  readonly complaints: number
  readonly pending: number
  /** Requests that came while their application had given up on the store, and how often it was asked then all the same. */
  readonly whileShut: number
  readonly askedWhileShut: number
  /** Of what the slowest may be: what the store took for each of its answers, in time. */
  readonly answeredIn: number
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
        slowest: sorted(samples).at(-1) ?? 0,
        slowestUncached: sorted(samples.filter(({ of }) => of === 'uncached')).at(-1) ?? 0,
        slowestKnown: known.at(-1) ?? 0,
        p99Known: p99(known),
        p99Uncached: p99(uncached),
        staleAfter: samples.filter(({ at, stale }) => stale && at >= mended + resumed).length,
        stale: samples.filter(({ stale }) => stale).length,
        resumed,
        complaints: traffic.log.filter(({ level }) => level >= 40).length,
        pending,
        whileShut: traffic.whileShut.requests,
        askedWhileShut: traffic.whileShut.asked,
        answeredIn: stage.answersIn ?? 0
      }
    } finally {
      await traffic.stop()
    }
  } finally {
    await stage.stop()
  }
}

const sorted = (samples: readonly Sample[]): number[] => samples.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b)
const p99 = (milliseconds: number[]): number => milliseconds[Math.floor(milliseconds.length * 0.99)] ?? 0
const isHit = (sample: Sample, app: number): boolean => sample.app === app && sample.of === 'steady' && sample.cache === 'HIT'
