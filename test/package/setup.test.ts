import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { root } from '../support/packed.js'
import { plainNode, type Outcome } from '../support/plain-node.js'
import { temporaryFolder } from '../support/temporary-folder.js'

/** Setup on a machine that has a shell and nothing else, not even a package manager. */
async function setupOnBareMachine (t: Test, env: NodeJS.ProcessEnv = {}, program = 'redis'): Promise<Outcome> {
  return plainNode(['scripts/setup.mjs', program], { cwd: root, env: { PATH: await bareMachine(t), ...env } })
}

async function bareMachine (t: Test): Promise<string> {
  const path = await temporaryFolder(t)
  await symlink('/bin/sh', join(path, 'sh'))
  return path
}

t.test('setup without a Redis server, and with no way to install one, names three ways to get one', async (t) => {
  const { status, stderr } = await setupOnBareMachine(t, { REDIS_SERVER_BIN: undefined })

  t.equal(status, 1)
  t.match(stderr, /1\. .*PATH.*redis-server/)
  t.match(stderr, /2\. .*REDIS_SERVER_BIN/)
  t.match(stderr, /3\. .*apt-get, apk, dnf, brew/)
})

t.test('setup uses the program that the environment names', async (t) => {
  t.match(await setupOnBareMachine(t, { REDIS_SERVER_BIN: process.execPath }), {
    status: 0, stdout: `redis is ${process.execPath}`
  })
})

t.test('setup fails if the environment names a program that does not exist', async (t) => {
  t.match(await setupOnBareMachine(t, { REDIS_SERVER_BIN: '/no/such/program' }), {
    status: 1, stderr: 'REDIS_SERVER_BIN is /no/such/program, which is not a program'
  })
})

t.test('setup goes on without a Valkey server, and says that its tests are left out', async (t) => {
  t.match(await setupOnBareMachine(t, { CI: 'true', VALKEY_SERVER_BIN: undefined }, 'valkey'), {
    status: 0, stdout: 'A Valkey server was not found: its tests are left out'
  })
})

t.test('the tests on another server end at once where there is none', async (t) => {
  const path = await bareMachine(t)
  const { status, stdout } = await plainNode(['scripts/with-server.mjs'], { cwd: root, env: { PATH: path, VALKEY_SERVER_BIN: undefined } })
  t.match({ status, stdout }, { status: 0, stdout: 'there is no valkey-server, so no tests are run on one' })
})

t.test('the tests use the tools that came with the server that the environment names', async (t) => {
  const folder = await temporaryFolder(t)
  const server = join(folder, 'other-server')
  await symlink(process.execPath, server)
  const program = `
    const { redisServerPath, redisCliPath } = require(${JSON.stringify(join(__dirname, '../support/programs.js'))})
    console.log(redisServerPath(), redisCliPath())`
  const { stdout } = await plainNode(['--eval', program], { env: { REDIS_SERVER_BIN: server } })
  t.equal(stdout.trim(), `${server} ${join(folder, 'other-cli')}`)
})
