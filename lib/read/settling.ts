import type { Entry } from '../entry/entry.js'
import type { CompiledReadPolicy } from '../policy/read-policy.js'
import { isSettling } from '../store/contract.js'
import type { FillContext } from './fill/context.js'

/*
 * For some time after a write (`settle`) a handler may read old rows from a database replica that
 * lags. What it makes of them is kept under versions that end with that window.
 */

/** The detail of a decision about such an answer. */
export const SETTLING = 'settling'

/** Whether the entry is kept only until a window ends. */
export function isSettlingEntry ({ versions }: Entry): boolean {
  for (const name in versions) if (isSettling(versions[name]!)) return true
  return false
}

/** Whether a write may not have reached all replicas when the handler began. */
export const isSettlingFill = ({ versions, groups = [] }: Pick<FillContext, 'versions' | 'groups'>): boolean =>
  versions.some(isSettling) || groups.some(isSettling)

/** The detail of the decision about a fill: why it is not stored, or that it is kept only until a window ends. */
export const detailOfFill = (
  { refusal, context }: { readonly refusal: string | undefined, readonly context: FillContext }
): string | undefined => refusal ?? (isSettlingFill(context) ? SETTLING : context.detail)

/** The parts of a policy that say what clients are told. */
export type ForClients = Pick<CompiledReadPolicy, 'clientCacheControl' | 'clientMayReuse' | 'callersVary'>

/** What clients are told: within a window they ask each time. */
export const forClients = (policy: CompiledReadPolicy, settles: boolean): ForClients => settles
  ? { clientCacheControl: policy.settlingCacheControl, clientMayReuse: false, callersVary: policy.callersVary }
  : policy
