import { StoreUnavailableError } from '../errors.js'
import { isObject } from '../policy/fields.js'
import { namesOf } from '../policy/names.js'
import type { MaybePromise } from '../store/contract.js'
import { Intent } from './intent.js'
import type { WriteRuntime } from './write-runtime.js'

/** What a write outside of routes invalidates: namespaces, or namespaces and tags. */
export type WritingNames = string | readonly string[] | {
  readonly namespaces?: string | readonly string[]
  readonly tags?: string | readonly string[]
}

export interface WritingOptions {
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
  runtime: WriteRuntime, names: WritingNames, run: () => MaybePromise<T>, { unrecorded = 'refuse' }: WritingOptions
): Promise<Written<T>> {
  const [namespaces, tags] = namesHeld(names)
  const intent = runtime.intents && new Intent(runtime, runtime.intents, namespaces, tags)
  const isRecorded = await intent?.begin() === true
  if (!isRecorded && unrecorded === 'refuse') {
    throw new StoreUnavailableError('writing() did not begin, as its intent could not be recorded; ' +
      "to run anyway and invalidate afterwards, pass { unrecorded: 'run' }")
  }
  const invalidate = async (): Promise<boolean> => isRecorded
    ? await intent!.end(true)
    : (await runtime.invalidation.invalidate(namespaces, tags)).delivered
  let value: T
  try {
    value = await run()
  } catch (error) {
    await invalidate()
    throw error
  }
  return { value, delivered: await invalidate() }
}

function namesHeld (names: WritingNames): [namespaces: string[], tags: string[]] {
  if (!isObject(names)) return [namesOf('writing', names), []]
  const { namespaces = [], tags = [] } = names as Exclude<WritingNames, string | readonly string[]>
  return [namesOf('writing', namespaces), namesOf('writing', tags)]
}
