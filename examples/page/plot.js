import { shape } from './dom.js'

const ROW = 54
const BAR = 12
const VALUE_WIDTH = 64
const FACTOR_WIDTH = 64

export function median (numbers) {
  if (numbers.length === 0) return undefined
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const inWords = (value) => value === undefined ? 'none yet' : `${value.toFixed(1)} ms`

/** Such as `3.4×` or `34×`; empty while one of the two is missing. */
export function factor ({ miss, hit }) {
  if (miss === undefined || hit === undefined) return ''
  const times = miss / Math.max(hit, 0.1)
  return `${times.toFixed(times < 10 ? 1 : 0)}×`
}

/**
 * Two bars for each row on one scale that begins at zero, and the factor between them.
 * @param {Array<{ url: string, miss?: number, hit?: number }>} rows medians in milliseconds
 * @param {number} width in pixels
 */
export function plot (rows, width) {
  const longest = Math.max(1, ...rows.flatMap(({ miss, hit }) => [miss ?? 0, hit ?? 0]))
  const room = width - VALUE_WIDTH - FACTOR_WIDTH
  const bar = (kind, value, y) => {
    const length = value === undefined ? 0 : Math.max(2, value / longest * room)
    return shape('g', { class: kind },
      shape('rect', { x: 0, y, width: length, height: BAR, rx: 2 }),
      shape('text', { x: length === 0 ? 0 : length + 6, y: y + BAR - 1.5, class: 'value' }, value === undefined ? `no ${kind.toUpperCase()} yet` : inWords(value)))
  }
  return shape('svg', {
    width,
    height: rows.length * ROW,
    role: 'img',
    'aria-label': rows.map((row) => `${row.url}: MISS ${inWords(row.miss)}, HIT ${inWords(row.hit)} ${factor(row)}`).join('; ')
  }, ...rows.map((row, index) => shape('g', { transform: `translate(0 ${index * ROW})` },
    shape('text', { y: 13, class: 'url' }, `GET ${row.url}`),
    bar('miss', row.miss, 18),
    bar('hit', row.hit, 18 + BAR + 2),
    shape('text', { x: width, y: 37, class: 'factor' }, factor(row)))))
}
