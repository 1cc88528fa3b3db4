import type { Application } from './description.js'
import type { Trace } from './hooks.js'
import type { Tags } from './tags.js'
import type { Answer, Asking } from './transport.js'

/** What the twin says to one request. */
export interface TwinAnswers {
  /** To exactly this request. */
  readonly direct: Answer
  /** To this request without conditions and ranges. */
  readonly whole: Answer
  /** The bytes of a GET without conditions and ranges. */
  readonly bytes: Buffer
  /** What hooks did to the whole. */
  readonly trace: Trace
}

/** One answer that would be right. */
export interface Expected extends Answer {
  readonly what: string
  /** Whether the twin itself answered the conditions. */
  readonly isTwins?: true
}

/** All that an answer is judged by. */
export interface Case {
  readonly application: Application
  readonly asking: Asking
  readonly twin: TwinAnswers
  readonly tags: Tags
}
