import type { Hit } from '../exchange.js'

/**
 * Whether this HIT refreshes its entry (XFetch: Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache
 * Stampede Prevention, VLDB 2015). Each decides for itself, and the longer a fill takes, the earlier one does.
 * @param factor the paper's beta
 */
export function isDueEarly ({ entry: { fillTime = 0 }, freshness }: Hit, factor: number): boolean {
  return fillTime * factor * -Math.log(Math.random()) >= freshness * 1000
}
