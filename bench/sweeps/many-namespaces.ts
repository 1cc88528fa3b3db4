import Redis from 'ioredis'
import { askForAll } from '../answers.js'
import { askOverHttp1 } from '../ask.js'
import { progress } from '../progress.js'
import { ServerProcess } from '../server-process.js'
import { ask, paced } from '../steady-load.js'
import { firstSwept, swept } from '../subjects/swept.js'
import { bodyBytes, hitsDuring, hitsTable, type Conditions, type Hits, type Part } from './part.js'

const perSecond = 1000

/** HITs of one namespace while each of many others is written to once, and while they are swept. */
export async function manyNamespaces ({ bench, quick, rounds }: Conditions): Promise<Part> {
  const namespaces = quick ? 1000 : 8000
  const entries = quick ? 10_000 : 100_000
  const seconds = namespaces / perSecond
  const redisUrl = bench.database()
  const redis = new Redis(redisUrl)
  const server = await ServerProcess.start(swept, { bodyBytes, redisUrl, namespaces })

  async function writeToAll (path: string): Promise<void> {
    const answers = await paced(perSecond, namespaces, (id) => ask(`${server.origin}/${path}/${id}`, 'PUT'))
    const wrong = answers.find(({ status }) => status !== 200)
    if (wrong !== undefined) throw new Error(`a write was answered with ${wrong.status}`)
  }

  const idle: Hits[] = []
  const plain: Hits[] = []
  const writing: Hits[] = []
  const sweeping: Hits[] = []
  await askForAll(askOverHttp1, server.origin, 0, firstSwept)
  for (let round = 1; round <= rounds; round++) {
    progress(`${namespaces} writes on ${namespaces} namespaces: round ${round} of ${rounds}`)
    await askForAll(askOverHttp1, server.origin, firstSwept, firstSwept + entries)
    await hitsDuring(server, seconds, async () => {})
    idle.push(await hitsDuring(server, seconds, async () => {}))
    plain.push(await hitsDuring(server, seconds, () => writeToAll('plain')))
    writing.push(await hitsDuring(server, seconds, () => writeToAll('items')))
    sweeping.push(await hitsDuring(server, seconds, async () => {}))
    await fetch(`${server.origin}/settled`, { method: 'POST' })
  }
  await server.stop()
  await redis.flushdb()
  redis.disconnect()
  return {
    title: 'Writes to many namespaces',
    text: [
      `${namespaces} writes in ${seconds} s, each to a namespace of its own, with ${entries} entries in all, while 50 connections ask another namespace for about 5,000 HITs a second; then HITs for as long while sweeping goes on. Plain writes are as many requests to a route without a policy: what those alone cost the machine, whose load and Redis share a core. ${rounds} rounds, medians with ranges. For p99 a ratio of at most 1.5 is promised.`,
      '',
      hitsTable(idle, { 'plain writes': plain, writing, sweeping })
    ].join('\n'),
    data: { namespaces, entries, seconds, idle, plain, writing, sweeping }
  }
}
