import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A folder outside the checkout, so that nothing of it is found by walking up. */
export async function temporaryFolder (t: Test): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'fastify-api-cache-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}
