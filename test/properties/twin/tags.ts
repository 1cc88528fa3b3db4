import { createHash } from 'node:crypto'

/** The ETags that the cache made, and what they were made for: one strong ETag belongs to one sequence of bytes. */
export class Tags {
  readonly #digestOf = new Map<string, string>()
  readonly #tagOf = new Map<string, string>()

  /** What is wrong with these bytes under this strong ETag. */
  fault (tag: string, bytes: Buffer): string | undefined {
    const digest = digestOf(bytes)
    const before = this.#digestOf.get(tag)
    const other = this.#tagOf.get(digest)
    if (before !== undefined && before !== digest) return `ETag ${tag} belongs to other bytes`
    return other === undefined || other === tag ? undefined : `ETag ${tag} for bytes that had ${other}`
  }

  /** Notes that these bytes have left with this strong ETag. */
  note (tag: string, bytes: Buffer): void {
    const digest = digestOf(bytes)
    this.#digestOf.set(tag, digest)
    this.#tagOf.set(digest, tag)
  }

  /** Whether these bytes have left with this ETag. */
  isOf (tag: string, comparison: 'weak' | 'strong', bytes: Buffer): boolean {
    const strong = comparison === 'weak' ? tag.replace(/^W\//, '') : tag
    return this.#digestOf.get(strong) === digestOf(bytes)
  }
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64')
