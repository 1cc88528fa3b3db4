/** How a counter is cached, and what a write to it makes old. */
export const KINDS = {
  /** A namespace for several counters; a write invalidates that. */
  plain: { count: 32 },
  /** The same with one fill for all processes. */
  fleet: { count: 16 },
  /** Two namespaces show each counter; a write invalidates both. */
  twice: { count: 16 },
  /** One namespace; a write invalidates a tag that is known from the request. */
  tagged: { count: 32 },
  /** One namespace; a write invalidates a tag that is known from the payload. */
  payload: { count: 32 },
  /** As plain, but entries are soon old by time: they are served while they are refreshed, and refreshed before they are. */
  aging: { count: 16 },
  /** The same with a tag of the payload, for a handler that often fails: an old entry is served then. */
  failing: { count: 16 },
  /** As plain, with writes of which most are soft: what they make old is served for some time, while it is refreshed. */
  soft: { count: 8 },
  /** The same with a tag of the payload, for a handler that often fails: what was made old is served then. */
  bridged: { count: 8 },
  /** As plain, with writes whose outcome is unknown: they throw after the commit, or go on after their response. */
  unknown: { count: 16 }
} as const

export type Kind = keyof typeof KINDS

export interface Write {
  readonly path: string
  /** Milliseconds for which what it makes old may be read; 0 for a hard write. */
  readonly soft: number
}

/** A counter, and the paths of what shows it. */
export interface Register {
  readonly name: string
  readonly reads: readonly string[]
  readonly writes: readonly Write[]
  /** What its writes make old, and others may have with it. */
  readonly names: string
  /** What is made to fail. */
  readonly fails?: 'read' | 'write'
}

const FAILS: Partial<Record<string, 'read' | 'write'>> = { failing: 'read', bridged: 'read', unknown: 'write' }

/** Soft writes, by the end of their path, in seconds. */
export const SOFT: Readonly<Record<string, number>> = { briefly: 1, longer: 3 }
/** The seconds for which a route lets old entries be used while they are refreshed: less than some writes do. */
export const ROUTE_WINDOW = 2

function writesOf (kind: string, index: number): Write[] {
  const hard: Write = { path: `/${kind}/${index}`, soft: 0 }
  if (kind !== 'soft' && kind !== 'bridged') return [hard]
  const longest = kind === 'soft' ? ROUTE_WINDOW : Infinity
  return [hard, ...Object.entries(SOFT).map(([end, seconds]) => ({ path: `${hard.path}/${end}`, soft: 1_000 * Math.min(seconds, longest) }))]
}

export const NAMESPACE_SIZE = 8
const TAGGED: ReadonlySet<Kind> = new Set<Kind>(['tagged', 'payload', 'failing', 'bridged'])

/** What a write to a counter makes old, for writers that are not a route. */
export function madeOld (kind: Kind, index: number): { namespaces: string[], tags: string[] } {
  const part = Math.floor(index / NAMESPACE_SIZE)
  if (kind === 'twice') return { namespaces: ['left', `right-${part}`], tags: [] }
  if (TAGGED.has(kind)) return { namespaces: [], tags: [`${kind}-${index}`] }
  return { namespaces: [`${kind}-${part}`], tags: [] }
}

export const registers: readonly Register[] = Object.entries(KINDS).flatMap(([kind, { count }]) =>
  Array.from({ length: count }, (_, index) => ({
    name: `${kind}-${index}`,
    reads: kind === 'twice' ? [`/twice/left/${index}`, `/twice/right/${index}`] : [`/${kind}/${index}`],
    writes: writesOf(kind, index),
    names: Object.values(madeOld(kind as Kind, index)).flat().join(),
    fails: FAILS[kind]
  })))
