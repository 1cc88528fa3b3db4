export type Group = 'limit' | 'plugin' | 'peer'

// Middle tones that hold on a white page and on a black one; the ground stays transparent.
const ink = '#6e7781'
const rule = '#8b949e'
const fills: Record<Group, string> = { limit: '#8b949e', plugin: '#2a9d6f', peer: '#c9822e' }
const lines = ['#2a9d6f', '#3b82d6', '#c9822e', '#a855c7', '#d1495b', '#8b949e']

function escape (text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

interface TextOptions {
  anchor?: 'start' | 'middle' | 'end'
  size?: number
  bold?: boolean
  fill?: string
  turned?: boolean
}

function text (x: number, y: number, content: string, { anchor = 'start', size = 13, bold = false, fill = ink, turned = false }: TextOptions = {}): string {
  const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : ''
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}"${bold ? ' font-weight="600"' : ''} fill="${fill}"${turn}>${escape(content)}</text>`
}

function line (x1: number, y1: number, x2: number, y2: number, stroke = rule, opacity = 1): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}" stroke-opacity="${opacity}"/>`
}

function document (width: number, height: number, title: string, parts: string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">`,
    ...parts,
    '</svg>',
    ''
  ].join('\n')
}

function short (value: number): string {
  if (value >= 1024 && value % 1024 === 0) return `${value / 1024}Ki`
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}

/** Steps of 1, 2 or 5 times a power of ten. */
function ticks (top: number): number[] {
  const rough = top / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step)
}

export interface Bar {
  label: string
  group: Group
  value: number
  low: number
  high: number
}

/** About how wide a bold character of a label is. */
const labelWidth = 7.4

/** Horizontal bars; the thin line on each is its range. */
export function bars (title: string, unit: string, rows: Bar[]): string {
  const longest = Math.max(...rows.map(({ label }) => label.length))
  const left = Math.max(330, Math.ceil(longest * labelWidth) + 20)
  const width = left + 530
  const rowHeight = 26
  const top = 58
  const bottom = top + rows.length * rowHeight
  const plot = width - left - 70
  const largest = Math.max(...rows.map(({ high }) => high))
  const x = (value: number): number => left + value / largest * plot
  const parts = [text(16, 24, title, { bold: true, size: 15 }), text(16, 43, unit, { size: 12 })]
  for (const tick of ticks(largest)) {
    parts.push(line(x(tick), top - 4, x(tick), bottom, rule, 0.3), text(x(tick), bottom + 17, short(tick), { anchor: 'middle', size: 11 }))
  }
  for (const [index, { label, group, value, low, high }] of rows.entries()) {
    const y = top + index * rowHeight
    const middle = y + rowHeight / 2
    parts.push(
      text(left - 10, middle + 4, label.replaceAll('`', ''), { anchor: 'end', bold: group === 'plugin', size: 12.5 }),
      `<rect x="${left}" y="${y + 4}" width="${(x(value) - left).toFixed(1)}" height="${rowHeight - 8}" rx="2" fill="${fills[group]}"/>`,
      line(x(low), middle, x(high), middle, ink),
      text(x(high) + 7, middle + 4, value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2), { size: 12 })
    )
  }
  return document(width, bottom + 30, title, parts)
}

export interface Series {
  name: string
  /** One per x; what was not measured is undefined. */
  values: Array<number | undefined>
}

export interface Axes {
  x: string
  y: string
  /** Ten times as much is as far on each part of the axis. */
  logarithmic?: { x?: boolean, y?: boolean }
}

/** Lines over one x axis, each named beside its end. */
export function curves (title: string, axes: Axes, xs: number[], series: Series[]): string {
  const width = 860
  const height = 400
  const box = { left: 74, right: width - 190, top: 52, bottom: height - 56 }
  const known = series.flatMap(({ values }) => values.filter((value) => value !== undefined))
  const logX = axes.logarithmic?.x === true
  const logY = axes.logarithmic?.y === true
  // Zero has no place on a logarithmic axis; it gets the one before the first.
  const placeX = xs.map((value) => logX ? Math.log10(Math.max(value, 0.5)) : value)
  const firstX = Math.min(...placeX)
  const spanX = Math.max(...placeX) - firstX || 1
  const lowY = logY ? Math.floor(Math.log10(Math.min(...known))) : 0
  const highY = logY ? Math.log10(Math.max(...known) * 1.2) : Math.max(...known) * 1.05
  const x = (index: number): number => box.left + ((placeX[index] ?? firstX) - firstX) / spanX * (box.right - box.left)
  const y = (value: number): number => box.bottom - ((logY ? Math.log10(value) : value) - lowY) / (highY - lowY) * (box.bottom - box.top)
  const parts = [text(16, 24, title, { bold: true, size: 15 })]
  const marks = logY ? Array.from({ length: Math.floor(highY) - lowY + 1 }, (_, index) => 10 ** (lowY + index)) : ticks(highY)
  for (const mark of marks) {
    parts.push(line(box.left, y(mark), box.right, y(mark), rule, 0.3), text(box.left - 8, y(mark) + 4, short(mark), { anchor: 'end', size: 11 }))
  }
  for (const [index, value] of xs.entries()) {
    parts.push(line(x(index), box.bottom, x(index), box.bottom + 4), text(x(index), box.bottom + 18, short(value), { anchor: 'middle', size: 11 }))
  }
  parts.push(
    line(box.left, box.bottom, box.right, box.bottom),
    text((box.left + box.right) / 2, height - 14, axes.x, { anchor: 'middle', size: 12 }),
    text(20, (box.top + box.bottom) / 2, axes.y, { anchor: 'middle', size: 12, turned: true })
  )
  const names: Array<{ name: string, color: string, y: number }> = []
  for (const [index, { name, values }] of series.entries()) {
    const color = lines[index % lines.length] ?? ink
    const points = values.flatMap((value, at) => value === undefined ? [] : [{ x: x(at), y: y(value) }])
    const end = points.at(-1)
    if (end === undefined) continue
    parts.push(`<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map((point) => `${point.x.toFixed(1)},${point.y.toFixed(1)}`).join(' ')}"/>`)
    for (const point of points) parts.push(`<circle cx="${point.x.toFixed(1)}" cy="${point.y.toFixed(1)}" r="3" fill="${color}"/>`)
    names.push({ name, color, y: end.y })
  }
  names.sort((a, b) => a.y - b.y)
  let free = 0
  for (const { name, color, y: end } of names) {
    free = Math.max(end + 4, free)
    parts.push(text(box.right + 10, free, name, { size: 12, bold: true, fill: color }))
    free += 16
  }
  return document(width, height, title, parts)
}
