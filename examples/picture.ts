const CELLS = 16
const CELL = 20

/** A different SVG for each seed: a mirrored pattern in three shades of one hue. */
export function picture (seed: number): Buffer {
  const size = CELLS * CELL
  const hue = (seed * 137) % 360
  const shades = [35, 55, 75].map((lightness) => `hsl(${hue} 60% ${lightness}%)`)
  const cells: string[] = []
  let state = seed
  for (let row = 0; row < CELLS; row++) {
    for (let column = 0; column < CELLS / 2; column++) {
      // A linear congruential generator: its upper bits are random enough for a pattern.
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      const shade = shades[state >>> 30]
      if (shade === undefined) continue
      for (const x of [column, CELLS - 1 - column]) {
        cells.push(`<rect x="${x * CELL}" y="${row * CELL}" width="${CELL}" height="${CELL}" fill="${shade}"/>`)
      }
    }
  }
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" width="${size}" height="${size}">` +
    `<rect width="${size}" height="${size}" fill="hsl(${hue} 60% 94%)"/>${cells.join('')}</svg>`
  )
}
