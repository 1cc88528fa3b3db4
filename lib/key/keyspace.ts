import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { escape, unescaped } from './canonical.js'

export const DEFAULT_PREFIX = 'api-cache'
/** Longest key in bytes (a key is ASCII). A longer key keeps its beginning and ends in a hash. */
export const MAX_KEY_BYTES = 512
const MAX_NAME_BYTES = 160
const TAG_GROUPS = 64

/**
 * The names of all keys under one prefix in a store: `prefix|…` for entries, `prefix!…` for
 * bookkeeping. Escaped text contains none of `|`, `!`, `:` and `~`.
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

  /** The beginning of every key that is used for bookkeeping. */
  get allBookkeeping (): string {
    return `${this.prefix}!`
  }

  /** Whether a key holds the version of a namespace or a tag. */
  isVersion (key: string): boolean {
    return key.startsWith(`${this.prefix}!version:`) || key.startsWith(`${this.prefix}!tag:`)
  }

  /** The beginning of every entry's key in a namespace. */
  entries (namespace: string): string {
    return `${this.prefix}|${shortened(escape(namespace), MAX_NAME_BYTES)}:`
  }

  /** The key of an entry; `identity` is escaped already. */
  entry (entries: string, identity: string): string {
    return shortened(entries + identity, MAX_KEY_BYTES)
  }

  /** The key of a namespace's version. */
  version (namespace: string): string {
    return `${this.prefix}!version:${shortened(escape(namespace), MAX_NAME_BYTES)}`
  }

  /** The namespace of an entry or a version; undefined for any other key. A shortened name stays as it is. */
  namespaceOf (key: string): string | undefined {
    const version = `${this.prefix}!version:`
    let escaped = ''
    if (key.startsWith(version)) escaped = key.slice(version.length)
    else if (key.startsWith(this.allEntries)) [escaped = ''] = key.slice(this.allEntries.length).split(':', 1)
    if (escaped === '') return undefined
    return escaped.includes('~') ? escaped : unescaped(escaped)
  }

  /** The key of a tag's version; on a Cluster it is on the same node as its group's version. */
  tag (tag: string): string {
    return `${this.prefix}!tag:{${groupOf(tag)}}${shortened(escape(tag), MAX_NAME_BYTES)}`
  }

  /**
   * The key of the version that is bumped together with any tag of a group. Tags from the payload
   * are not known before the handler has run, and comparing a few groups is possible, all tags is not.
   */
  tagGroup (tag: string): string {
    return this.tagGroups[groupOf(tag)]!
  }

  /** The key of a lease to fill an entry. */
  lease (key: string): string {
    return `${this.prefix}!lease:${shortened(key, MAX_KEY_BYTES)}`
  }
}

/** The beginning that an entry's key shares with all others of its namespace, as of `Keyspace.entries`; '' if none. */
export const beginningOf = (key: string): string => key.slice(0, key.indexOf(':', key.indexOf('|')) + 1)

const groupOf = (tag: string): number => crc32(tag) % TAG_GROUPS

function shortened (text: string, limit: number): string {
  if (text.length <= limit) return text
  const hash = createHash('sha256').update(text).digest('base64url')
  return `${text.slice(0, limit - hash.length - 1)}~${hash}`
}
