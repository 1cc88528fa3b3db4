import type { Decision, FillEvent, InvalidationEvent, Listener, StoreEvent, SweepEvent } from './events.js'

/** Counts since the plugin was registered. */
export interface Counters {
  hits: number
  misses: number
  bypasses: number
  /** Requests that waited for the fill of another request and got its response. */
  collapsed: number
  stored: number
  invalidations: number
  swept: number
  /** Store operations that failed or timed out. */
  failures: number
}

/** Counts the events of one cache. */
export class Stats implements Listener {
  readonly counters: Counters = {
    hits: 0, misses: 0, bypasses: 0, collapsed: 0, stored: 0, invalidations: 0, swept: 0, failures: 0
  }

  readonly decision = ({ outcome, collapsed }: Decision): void => {
    if (collapsed) this.counters.collapsed++
    else if (outcome === 'hit') this.counters.hits++
    else if (outcome === 'miss') this.counters.misses++
    else this.counters.bypasses++
  }

  readonly fill = ({ outcome }: FillEvent): void => {
    if (outcome === 'stored') this.counters.stored++
  }

  readonly invalidation = ({ namespaces, tags }: InvalidationEvent): void => {
    this.counters.invalidations += namespaces.length + tags.length
  }

  readonly sweep = ({ swept }: SweepEvent): void => {
    this.counters.swept += swept
  }

  readonly store = ({ state }: StoreEvent): void => {
    if (state === 'failed') this.counters.failures++
  }
}
