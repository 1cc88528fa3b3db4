export interface Range {
  median: number
  low: number
  high: number
}

export function quantile (values: number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * fraction
  const below = sorted[Math.floor(position)] ?? NaN
  const above = sorted[Math.ceil(position)] ?? NaN
  return below + (above - below) * (position - Math.floor(position))
}

export function range (values: number[]): Range {
  return { median: quantile(values, 0.5), low: Math.min(...values), high: Math.max(...values) }
}

/** Each value over the one of the same round: what drifts on a shared machine drifts for both. */
export function ratios (values: number[], base: number[]): number[] {
  const shared = Math.min(values.length, base.length)
  return Array.from({ length: shared }, (_, round) => (values[round] ?? NaN) / (base[round] ?? NaN))
}
