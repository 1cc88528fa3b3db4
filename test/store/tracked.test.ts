import { Command, Redis, type RedisOptions } from 'ioredis'
import t, { type Test } from 'tap'
import { TrackedVersions } from '../../lib/store/redis/tracked-versions.js'
import { isPromise } from '../../lib/store/contract.js'
import { runOf, type ServerRun } from '../../lib/store/redis/server-run.js'
import { startRedis, type RedisServer } from '../support/redis-server.js'

let server: RedisServer
let control: Redis
let run: ServerRun | undefined
t.before(async () => {
  server = await startRedis()
  control = new Redis(server.port)
  run = runOf(await control.info())
})
t.teardown(async () => {
  control.disconnect()
  await server.stop()
})

/** Whether versions come to be known without asking the store, in the time of many round trips. */
async function comesToKnow (versions: TrackedVersions): Promise<boolean> {
  for (let round = 0; round < 1_000; round++) {
    const current = versions.versions(['version'])
    if (!isPromise(current)) return true
    await current
    await control.echo('a round trip')
  }
  return false
}

function open (t: Test, options: RedisOptions = {}): TrackedVersions {
  const client = new Redis({ port: server.port, ...options })
  const versions = new TrackedVersions({ versions: async () => ['token'] }, { client, run: () => run }, '')
  t.teardown(() => {
    versions.close()
    client.disconnect()
  })
  return versions
}

for (const options of [{}, { stringNumbers: true }, { replyMapping: 'resp3' }] satisfies RedisOptions[]) {
  t.test(`versions are tracked on a client with the options ${JSON.stringify(options)}`, async (t) => {
    t.equal(await comesToKnow(open(t, options)), true)
  })
}

for (const command of ['CLIENT', 'subscribe']) {
  t.test(`a reply to ${command.toUpperCase()} of another form does not turn tracking on`, async (t) => {
    Command.setReplyTransformer(command, () => 'QUEUED')
    t.teardown(() => { Command.setReplyTransformer(command, (reply: unknown) => reply) })
    t.equal(await comesToKnow(open(t)), false)
  })
}

t.test('a reply to PING of another form does not show that the connection is alive', async (t) => {
  const versions = open(t)
  t.equal(await comesToKnow(versions), true)
  Command.setReplyTransformer('ping', () => 'QUEUED')
  t.teardown(() => { Command.setReplyTransformer('ping', (reply: unknown) => reply) })
  const until = performance.now() + 10_000
  while (!isPromise(versions.versions(['version'])) && performance.now() < until) await control.echo('a round trip')
  t.ok(isPromise(versions.versions(['version'])))
})
