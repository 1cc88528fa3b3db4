import { payloadOf } from './answer.js'

/** What a handler returned as its answer. */
export class Answer {
  readonly #value: unknown
  /** As JSON, if code of the application can still change it. */
  readonly #json: string | undefined

  constructor (value: unknown, canChange: boolean) {
    this.#value = value
    this.#json = canChange ? jsonOf(value) : undefined
  }

  /** Whether this payload is the answer, as it was returned. */
  is (payload: unknown): boolean {
    return payload === this.#value && (this.#json === undefined || this.#json === jsonOf(payload))
  }
}

function jsonOf (value: unknown): string | undefined {
  if (payloadOf(value).as !== 'object') return undefined
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
