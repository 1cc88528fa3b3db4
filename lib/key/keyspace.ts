import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { escape } from './escape.js'

/** Longest key, in bytes (a key is ASCII): what is longer keeps its beginning and ends in a hash. */
export const MAX_KEY_BYTES = 512
const MAX_NAME_BYTES = 160
const TAG_GROUPS = 64

/**
 * The names of everything that one prefix owns in a store: entries behind `|`, what is kept about
 * them behind `!`. Neither these nor `:` and `~` ever come from outside.
 */
export class Keyspace {
  readonly prefix: string

  readonly tagGroups: readonly string[]

  constructor (prefix: string) {
    this.prefix = prefix
    this.tagGroups = Array.from({ length: TAG_GROUPS }, (_, group) => `${prefix}!tags:{${group}}`)
  }

  /** The beginning of every entry's key. */
  get allEntries (): string {
    return `${this.prefix}|`
  }

  /** The beginning of the key of everything that is kept about entries. */
  get allBookkeeping (): string {
    return `${this.prefix}!`
  }

  /** Whether a key is one of a namespace's or of a tag's version. */
  isVersion (key: string): boolean {
    return key.startsWith(`${this.prefix}!version:`) || key.startsWith(`${this.prefix}!tag:`)
  }

  /** The beginning of every entry's key in a namespace. */
  entries (namespace: string): string {
    return `${this.prefix}|${shortened(escape(namespace), MAX_NAME_BYTES)}:`
  }

  /** The key of an entry: `identity` is already escaped. */
  entry (entries: string, identity: string): string {
    return shortened(entries + identity, MAX_KEY_BYTES)
  }

  /** Where a namespace's version is kept. */
  version (namespace: string): string {
    return `${this.prefix}!version:${shortened(escape(namespace), MAX_NAME_BYTES)}`
  }

  /** Where a tag's version is kept: on a Cluster on the same node as its group's. */
  tag (tag: string): string {
    return `${this.prefix}!tag:{${groupOf(tag)}}${shortened(escape(tag), MAX_NAME_BYTES)}`
  }

  /**
   * Where the version is kept that moves with any tag of a group: while a handler runs, its
   * payload's tags are not known yet, and a few groups can be watched where all tags cannot.
   */
  tagGroup (tag: string): string {
    return this.tagGroups[groupOf(tag)]!
  }

  /** Where a lease to fill an entry is kept. */
  lease (key: string): string {
    return `${this.prefix}!lease:${shortened(key, MAX_KEY_BYTES)}`
  }
}

const groupOf = (tag: string): number => crc32(tag) % TAG_GROUPS

function shortened (text: string, limit: number): string {
  if (text.length <= limit) return text
  const hash = createHash('sha256').update(text).digest('base64url')
  return `${text.slice(0, limit - hash.length - 1)}~${hash}`
}
