import { InvalidFieldError, StoreUnavailableError } from '../errors.js'
import { toSettle, toSoft, type Duration } from '../policy/duration.js'
import {
  checkFields, describe, isFunction, isObject, oneOf, settleField, softField, type Field, type Fields
} from '../policy/fields.js'
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

const invalidateFields: Fields<InvalidateOptions> = { settle: settleField, soft: softField }
const writingFields: Fields<WritingOptions> = { settle: settleField, unrecorded: oneOf('refuse', 'run') }

/** What is wrong with names `namesOf` says. */
const isNames: Field = { accepts: () => true, expects: 'names' }
const namesFields = { namespaces: isNames, tags: isNames }

/** The outcome of a write that has settled. */
export interface Written<T> {
  /** What the write returned. */
  readonly value: T
  /** Whether the store has confirmed the invalidation. Otherwise it is pending. */
  readonly delivered: boolean
}

/**
 * Runs a write while its namespaces and tags are held, and then invalidates them.
 * @throws InvalidNameError, UnknownFieldError, InvalidFieldError, StoreUnavailableError before `run` is called; what
 *   `run` throws
 */
export async function writing<T> (
  runtime: WriteRuntime, names: WritingNames, run: () => MaybePromise<T>, options: WritingOptions
): Promise<Written<T>> {
  checkOptions('writing', options, writingFields)
  const { unrecorded = 'refuse' } = options
  const settle = toSettle(options.settle) ?? runtime.settle
  const { namespaces, tags } = namesHeld(names)
  if (!isFunction(run)) throw new InvalidFieldError('writing', 'run', 'a function', describe(run))
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
 * What the options of an invalidation say, with the defaults, in milliseconds.
 * @throws UnknownFieldError, InvalidFieldError
 */
export function windowsOf (
  what: string, runtime: WriteRuntime, options: InvalidateOptions = {}
): { readonly settle: number, readonly soft: number } {
  checkOptions(what, options, invalidateFields)
  return { settle: toSettle(options.settle) ?? runtime.settle, soft: toSoft(options.soft) ?? 0 }
}

/** Options are often what was meant as one more name. */
function checkOptions<T extends object> (what: string, options: T, fields: Fields<T>): void {
  if (!isObject(options)) {
    const expected = "an object such as { settle: '2s' }, and several names are one list"
    throw new InvalidFieldError(what, 'options', expected, describe(options))
  }
  checkFields(what, options, fields)
}

function namesHeld (names: WritingNames): HeldNames {
  if (!isObject(names)) return { namespaces: namesOf('writing', names), tags: [] }
  const held = names as Exclude<WritingNames, string | readonly string[]>
  checkFields('writing', held, namesFields)
  const { namespaces = [], tags = [] } = held
  return { namespaces: namesOf('writing', namespaces), tags: namesOf('writing', tags) }
}
