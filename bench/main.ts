import { parseArgs } from 'node:util'
import { loadCore, moveToCore, pinning } from './cores.js'
import { h2loadFound } from './h2load.js'
import { loadGenerator } from './load.js'
import { fullMatrix, quickMatrix, targets, type Setting } from './matrix.js'
import { measureInterleaved, type Outcome } from './measure.js'
import { installPeers } from './peers.js'
import { lastingLine } from './progress.js'
import { publish, published } from './publish.js'
import { Quiet } from './quiet.js'
import { startBenchRedis } from './redis.js'
import { environment, judge, markdown, plot, type Measured } from './report.js'
import { subjectNamed } from './subjects/index.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string', default: published }
  }
})

function chosen (): Setting[] {
  if (!h2loadFound) lastingLine('without h2load there are no figures for HTTP/2')
  const only = values.only?.split(',')
  only?.forEach(subjectNamed)
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) throw new Error('--rounds takes a whole number above 0')
  return (values.quick ? quickMatrix : fullMatrix)
    .map((setting) => ({
      ...setting,
      groups: setting.groups
        .map((group) => group.filter((name) => only === undefined || only.includes(name)))
        .filter((group) => group.length > 0),
      timing: rounds === undefined ? setting.timing : { ...setting.timing, rounds }
    }))
    .filter(({ groups, http2 }) => groups.length > 0 && (http2 !== true || h2loadFound))
}

async function main (): Promise<void> {
  const settings = chosen()
  if (settings.some(({ groups }) => groups.flat().some((name) => subjectNamed(name).group === 'peer'))) installPeers()
  lastingLine(`${pinning}; load by ${loadGenerator}`)
  moveToCore(loadCore, process.pid)
  const redis = await startBenchRedis()
  const quiet = await Quiet.start()
  const all: Measured[] = []
  for (const setting of settings) {
    const { title, bodyBytes, keys, connections, revalidates, http2, timing } = setting
    const outcomes: Outcome[] = []
    for (const group of setting.groups) {
      const cases = group.map((name) => ({ subject: subjectNamed(name), scenario: { bodyBytes, ...(http2 && { http2 }) }, keys, connections, ...(revalidates && { revalidates }) }))
      outcomes.push(await measureInterleaved(title, cases, { redis, quiet, timing }))
    }
    all.push({ setting, outcomes })
  }
  quiet.stop()
  await redis.stop()

  const measured = all.map(({ setting, outcomes }) => ({ setting, outcomes: outcomes.map((outcome) => quiet.quietRounds(outcome)) }))
  const facts = { ...environment(redis.version), ...quiet.facts }
  const verdicts = judge(targets, measured)
  const text = markdown(facts, measured, verdicts)
  const results = {
    environment: facts,
    quiet: quiet.samples,
    settings: measured.map(({ setting, outcomes }) => ({
      ...setting,
      groups: outcomes.map(({ samples, refused }) => ({ samples: Object.fromEntries(samples), leftOut: Object.fromEntries(refused) }))
    })),
    targets: verdicts
  }
  const plots = measured.flatMap((one) => {
    const drawing = plot(one)
    return drawing === undefined ? [] : [[`hit-${one.setting.name}.svg`, drawing]]
  })
  publish({ 'results.md': text, 'results.json': JSON.stringify(results, null, 2) + '\n', ...Object.fromEntries(plots) }, values.out, quiet)
  lastingLine('')
  console.log(text)
  process.exit(measured.some(({ outcomes }) => outcomes.some(({ wrong }) => wrong)) ? 1 : 0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
