import { InvalidFieldError, StoreUnavailableError } from '../errors.js'
import { toSettle, toSoft, type Duration } from '../policy/duration.js'
import { describe, isObject, settleField, softField } from '../policy/fields.js'
import { namesOf } from '../policy/names.js'
import type { MaybePromise } from '../store/contract.js'
import { Intent, type HeldNames } from './intent.js'
import type { WriteRuntime } from './write-runtime.js'

/** What a write outside of routes invalidates: namespaces, or namespaces and tags. */
export type WritingNames = string | readonly string[] | {
  readonly namespaces?: string | readonly string[]
  readonly tags?: string | readonly string[]
}

interface SettleOptions {
  /** How long database replicas may lag behind the write, as in a write policy; default: that of the plugin. */
  readonly settle?: Duration | 0
}

export interface InvalidateOptions extends SettleOptions {
  /** For how long old entries may be used while they are filled anew, as in a write policy; default: not at all. */
  readonly soft?: Duration
}

export interface WritingOptions extends SettleOptions {
  /**
   * What to do if the store cannot record the intent: `'refuse'` (default) rejects before `run` is
   * called, `'run'` calls it anyway, and invalidates afterwards.
   */
  readonly unrecorded?: 'refuse' | 'run'
}

/** The outcome of a write that has settled. */
export interface Written<T> {
  /** What the write returned. */
  readonly value: T
  /** Whether the store has confirmed the invalidation. Otherwise it is pending. */
  readonly delivered: boolean
}

/**
 * Runs a write while its namespaces and tags are held, and then invalidates them.
 * @throws InvalidNameError, StoreUnavailableError before `run` is called; what `run` throws
 */
export async function writing<T> (
  runtime: WriteRuntime, names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions
): Promise<Written<T>> {
  const { unrecorded = 'refuse' } = options
  const settle = settleOf('writing', runtime, options)
  const { namespaces, tags } = namesHeld(names)
  const intent = runtime.intents && new Intent(runtime, runtime.intents, { namespaces, tags }, settle)
  const isRecorded = await intent?.begin() === true
  if (!isRecorded && unrecorded === 'refuse') {
    throw new StoreUnavailableError('writing() did not begin, as its intent could not be recorded; ' +
      "to run anyway and invalidate afterwards, pass { unrecorded: 'run' }")
  }
  const invalidate = async (): Promise<boolean> => isRecorded
    ? await intent!.end(true)
    : (await runtime.invalidation.invalidate(namespaces, tags, settle)).delivered
  let value: T
  try {
    value = await run()
  } catch (error) {
    await invalidate()
    throw error
  }
  return { value, delivered: await invalidate() }
}

/**
 * The milliseconds of a window.
 * @throws InvalidFieldError
 */
export function settleOf (what: string, runtime: WriteRuntime, { settle }: SettleOptions = {}): number {
  if (settle === undefined) return runtime.settle
  const milliseconds = toSettle(settle)
  if (milliseconds === undefined) throw new InvalidFieldError(what, 'settle', settleField.expects, describe(settle))
  return milliseconds
}

/**
 * The milliseconds for which old entries may be used; 0 for a hard write.
 * @throws InvalidFieldError
 */
export function softOf (what: string, { soft }: InvalidateOptions = {}): number {
  if (soft === undefined) return 0
  const milliseconds = toSoft(soft)
  if (milliseconds === undefined) throw new InvalidFieldError(what, 'soft', softField.expects, describe(soft))
  return milliseconds
}

function namesHeld (names: WritingNames): HeldNames {
  if (!isObject(names)) return { namespaces: namesOf('writing', names), tags: [] }
  const { namespaces = [], tags = [] } = names as Exclude<WritingNames, string | readonly string[]>
  return { namespaces: namesOf('writing', namespaces), tags: namesOf('writing', tags) }
}
