import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { root } from '../support/packed.js'
import { plainNode, type Outcome } from '../support/plain-node.js'
import { temporaryFolder } from '../support/temporary-folder.js'

/** Setup on a machine that has a shell and nothing else, not even a package manager. */
async function setupOnBareMachine (t: Test, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const path = await temporaryFolder(t)
  await symlink('/bin/sh', join(path, 'sh'))
  return plainNode(['scripts/setup.mjs', 'redis'], { cwd: root, env: { PATH: path, ...env } })
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
