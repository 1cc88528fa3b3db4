/** A step that one of the participants can take, and what it leads to. */
export type Step<State> = readonly [name: string, next: State]

export interface Exploration {
  readonly states: number
  /** The steps that lead to the first state in which something is wrong, and what that is. */
  readonly counterexample: { readonly steps: readonly string[], readonly wrong: string } | undefined
}

/**
 * Visits every state that any order of steps leads to, those a few steps away first.
 * @param stepsFrom all steps that are possible in a state
 * @param wrongIn what is wrong in a state, if anything
 */
export function explore<State> (
  initial: State,
  stepsFrom: (state: State) => Array<Step<State>>,
  wrongIn: (state: State) => string | undefined
): Exploration {
  interface Visit { readonly state: State, readonly from?: Visit, readonly step?: string }
  const seen = new Set([JSON.stringify(initial)])
  const queue: Visit[] = [{ state: initial }]
  for (let index = 0; index < queue.length; index++) {
    const visit = queue[index]!
    const wrong = wrongIn(visit.state)
    if (wrong !== undefined) {
      const steps: string[] = []
      for (let at: Visit | undefined = visit; at?.step !== undefined; at = at.from) steps.unshift(at.step)
      return { states: seen.size, counterexample: { steps, wrong } }
    }
    for (const [step, state] of stepsFrom(visit.state)) {
      const key = JSON.stringify(state)
      if (seen.has(key)) continue
      seen.add(key)
      queue.push({ state, from: visit, step })
    }
  }
  return { states: seen.size, counterexample: undefined }
}
