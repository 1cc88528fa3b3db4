import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t from 'tap'
import { startRedis } from './redis-server.js'

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('a restarted server has the same port and is empty', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const client = new Redis(redis.url)
  t.teardown(() => { client.disconnect() })
  await client.set('key', 'value')
  const { pid } = redis

  await redis.restart()

  t.notOk(isAlive(pid))
  t.equal(await client.get('key'), null)
})

t.test('a server that hangs is killed with the process that started it, even by SIGKILL', async (t) => {
  const program = `
    require(${JSON.stringify(join(__dirname, 'redis-server.js'))}).startRedis().then((redis) => {
      redis.pause()
      console.log(redis.pid)
      setInterval(() => {}, 1000)
    })`
  const owner = spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(owner.stdout, 'data') as [Buffer]
  const pid = Number(line.toString())
  t.ok(isAlive(pid))

  owner.kill('SIGKILL')

  // Nothing tells us of the end of a process that is not our child.
  while (isAlive(pid)) await delay(10)
  t.notOk(isAlive(pid))
})
