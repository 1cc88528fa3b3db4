/** Bounds the work for a value that refers to itself. */
const MAX_DEPTH = 100

/** Whether JSON gives back an equal value: text, finite numbers, true, false and null, in lists and plain objects. */
export function isPlainData (value: unknown, depth = 0): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  if (typeof value !== 'object' || depth === MAX_DEPTH) return false
  if (Array.isArray(value)) return value.every((item) => isPlainData(item, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  return Object.values(value).every((field) => field === undefined || isPlainData(field, depth + 1))
}
