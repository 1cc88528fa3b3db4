import fc from 'fast-check'

/** What separates, escapes, marks or globs somewhere between a request and Redis, and what looks like it. */
const HOSTILE = [
  '|', ':', '*', '?', '[', ']', '\\', '%', '/', '\n', '\r', '\0', '\ud800', '\udfff', '😀', 'é', '~', '!', '=', '&', ' ', '"', "'", ',', ';', '#', '+',
  '{', '}', '(', ')', '$', '^', '.', '-', '_', 'a', 'b', 'A', '0', '1', '%25', '%2A', '%uD800', ':=', ' scope=', '__proto__', 'constructor',
  'true', 'null', 'undefined', '-0', '1e21', '1e+21', 'NaN', ' vary:', 'params:', '{}', '[]', '0n', 'Set[]', 'Date(0)',
  'token', 'key', 'token=', 'Bearer ', 'eyJhbGciOiJIUzI1NiJ9.e', '"token":', 'https://a:b@c'
]

const LONG = 'x'.repeat(100_000)

/** Mostly short, as differences between short texts are what separators get wrong; now and then very long. */
export const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 200, arbitrary: fc.string({ unit: fc.constantFrom(...HOSTILE), maxLength: 4 }) },
  { weight: 20, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
  { weight: 10, arbitrary: fc.string({ unit: fc.constantFrom(...HOSTILE), minLength: 150, maxLength: 200 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...HOSTILE), maxLength: 2 }).map((end) => LONG + end) }
)

export const name: fc.Arbitrary<string> = text.map((name) => name === '' ? '*' : name)

/** What a parser of query strings, or validation, may make of a parameter. */
export const value: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: text },
  { weight: 2, arbitrary: fc.array(text, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(0, -0, 1, -1, 0.5, 1e21, NaN, Infinity, true, false, null, 0n, 1n) },
  {
    weight: 1,
    arbitrary: fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 2 },
        text,
        fc.constantFrom<unknown>(0, 1, true, null, 1n, new Date(0), new Date(1), new Set([1]), new Map([['a', 1]]), new Map([['token', 'a']])),
        fc.array(tie('tree'), { maxLength: 2 }),
        fc.dictionary(text, tie('tree'), { maxKeys: 2, noNullPrototype: true })
      )
    })).tree
  }
)

export const query: fc.Arbitrary<Record<string, unknown>> = fc.dictionary(text, value, { maxKeys: 3, noNullPrototype: true })

/** The same record, its names in another order. */
export const reversed = <T>(record: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(record).reverse())
