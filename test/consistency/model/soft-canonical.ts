import type { Entry, Scenario, SoftRecord, State, Versions } from './state.js'
import { onServer } from './versions.js'

/**
 * The state without what nobody can use any more of the records of soft writes. A write whose window then makes no
 * difference counts as one whose window is over.
 */
export function withoutUseless ({ fault, holding }: Scenario, state: State): State {
  if (state.soft === undefined) return state
  const used = usedVersions(state)
  const isDead = (record: SoftRecord, key: string): boolean =>
    fault === undefined && !holding && record.current !== state.server.versions[key]
  const useful = (record: SoftRecord): SoftRecord =>
    ({ ...record, replaced: record.replaced.filter(({ version }) => used.has(version)) })
  const records = Object.entries(state.server.records!)
    .map(([key, record]): [string, SoftRecord] => [key, isDead(record, key) ? { ...record, replaced: [] } : useful(record)])
    .filter(([, { replaced }]) => replaced.length > 0)
  const kept = onServer(state, { records: Object.fromEntries(records) })
  return renumbered({ ...kept, readers: kept.readers.map((reader) => reader.record ? { ...reader, record: useful(reader.record) } : reader) })
}

function usedVersions ({ server: { entry }, fills, readers }: State): Set<number | null> {
  const used = new Set<number | null>()
  const use = (versions: Versions | undefined): void => { for (const version of Object.values(versions ?? {})) used.add(version) }
  const useEntry = (kept: Entry | null | undefined | 'failed'): void => { if (typeof kept === 'object') use(kept?.versions) }
  useEntry(entry)
  for (const { versions, outcome } of fills) {
    use(versions)
    useEntry(outcome)
  }
  for (const { versions, entry } of readers) {
    use(versions)
    useEntry(entry)
  }
  return used
}

/** Gives soft writes whose windows matter the first numbers, in their order. Of all others reads have to know. */
function renumbered (state: State): State {
  const records = Object.entries(state.server.records!)
  const items = records.flatMap(([, { replaced }]) => replaced)
  const open = [...new Set(items.flatMap(({ within, since }) => [...within, since]))].sort((a, b) => a - b)
  const name = (write: number): number => open.indexOf(write) + 1
  const isOpen = (write: number | undefined): boolean => write !== undefined && open.includes(write)
  const soft = state.soft!
  const known = Math.max(state.server.acknowledged, ...soft.open.filter(({ write }) => !isOpen(write)).map(({ value }) => value))
  const record = (kept: SoftRecord): SoftRecord => ({
    ...kept,
    replaced: kept.replaced.map(({ version, within, since }) => ({ version, within: within.map(name), since: name(since) }))
  })
  return {
    ...onServer(state, { acknowledged: known, records: Object.fromEntries(records.map(([key, kept]) => [key, record(kept)])) }),
    soft: {
      last: open.length,
      open: soft.open.filter(({ write, value }) => isOpen(write) && value > known).map(({ write, value }) => ({ write: name(write), value }))
    }
  }
}
