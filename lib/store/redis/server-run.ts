import { createHash, randomBytes } from 'node:crypto'

/** Digits in a mark. */
const MARK_DIGITS = 12
/** Most versions of other runs that are remembered as trusted. Forgetting them only causes MISSes. */
const MAX_TRUSTED = 100_000

/**
 * One run of a server as a master: from its start or promotion to its end or demotion. Within a run
 * it loses nothing that it has confirmed, so a version that was written during the run is the
 * latest. After a failover or a restart from disk another run replies. A version from before that
 * run may have been replaced already, and the replacement lost.
 */
export interface ServerRun {
  /** What every version ends in that is written during the run: a dot and digits. */
  readonly mark: string
  /** The `run_id` of the server's process, which outlives a change of its role; undefined if INFO does not tell. */
  readonly server: string | undefined
  /** Keys of versions with another mark that are trusted, because this process bumped them during the run. */
  readonly trusted: Set<string>
}

/** Whether a version with this mark can be trusted to be the latest under its key. */
export function trusts (run: ServerRun, key: string, mark: string): boolean {
  return mark === run.mark || run.trusted.has(key)
}

export function trust (run: ServerRun, key: string): void {
  if (run.trusted.size >= MAX_TRUSTED) run.trusted.clear()
  run.trusted.add(key)
}

/** The run that INFO tells of; undefined if it does not. Each promotion gives a server another replication id. */
export function runOf (info: string): ServerRun | undefined {
  const server = runIdOf(info)
  if (server === undefined) return undefined
  const replication = /^master_replid:(\w+)/m.exec(info)?.[1] ?? ''
  const digits = createHash('sha256').update(server + replication).digest('hex').slice(0, MARK_DIGITS)
  return { mark: `.${digits}`, server, trusted: new Set() }
}

/** Without INFO each connection counts as a run of its own. */
export function unknownRun (): ServerRun {
  return { mark: `.${randomBytes(MARK_DIGITS / 2).toString('hex')}`, server: undefined, trusted: new Set() }
}

/** The id of the server's process in INFO. */
export const runIdOf = (info: string): string | undefined => /^run_id:(\w+)/m.exec(info)?.[1]

/** The server's time in INFO, in milliseconds since 1970; undefined if INFO does not tell, as in old versions. */
export function timeOf (info: string): number | undefined {
  const microseconds = /^server_time_usec:(\d{1,16})\r?$/m.exec(info)?.[1]
  return microseconds === undefined ? undefined : Math.floor(Number(microseconds) / 1000)
}

export const isReplica = (info: string): boolean => /^role:slave\b/m.test(info)

export const isLoading = (info: string): boolean => /^loading:1\b/m.test(info)
