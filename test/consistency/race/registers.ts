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
  /** As plain, with writes whose outcome is unknown: they throw after the commit, or go on after their response. */
  unknown: { count: 16 }
} as const

export type Kind = keyof typeof KINDS

/** A counter, and the paths of what shows it. */
export interface Register {
  readonly name: string
  readonly reads: readonly string[]
  readonly write: string
  /** What is made to fail. */
  readonly fails?: 'read' | 'write'
}

const FAILS: Partial<Record<string, 'read' | 'write'>> = { failing: 'read', unknown: 'write' }

export const registers: readonly Register[] = Object.entries(KINDS).flatMap(([kind, { count }]) =>
  Array.from({ length: count }, (_, index) => ({
    name: `${kind}-${index}`,
    reads: kind === 'twice' ? [`/twice/left/${index}`, `/twice/right/${index}`] : [`/${kind}/${index}`],
    write: `/${kind}/${index}`,
    fails: FAILS[kind]
  })))

export const NAMESPACE_SIZE = 8

/** What a write to a counter makes old, for writers that are not a route. */
export function madeOld (kind: Kind, index: number): { namespaces: string[], tags: string[] } {
  const part = Math.floor(index / NAMESPACE_SIZE)
  if (kind === 'twice') return { namespaces: ['left', `right-${part}`], tags: [] }
  if (kind === 'plain' || kind === 'fleet' || kind === 'aging' || kind === 'unknown') return { namespaces: [`${kind}-${part}`], tags: [] }
  return { namespaces: [], tags: [`${kind}-${index}`] }
}
