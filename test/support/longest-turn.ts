/** The first runs of anything also compile it, and now and then a process collects its garbage. */
const RUNS = 5

/** Milliseconds of CPU time: on a busy machine everything takes longer, and costs about the same. */
function cpuTime (): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** For how many milliseconds some work holds up the event loop at the longest: repeated where that is `limit` or more. */
export async function longestTurn (limit: number, work: () => Promise<unknown>): Promise<number> {
  let best = Infinity
  for (let run = 0; run < RUNS && best >= limit; run++) best = Math.min(best, await measure(work))
  return best
}

async function measure (work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let over = false
  let began = cpuTime()
  function turn (): void {
    const now = cpuTime()
    longest = Math.max(longest, now - began)
    began = now
    if (!over) setImmediate(turn)
  }
  turn()
  await work()
  over = true
  turn()
  return longest
}
