import { join } from 'node:path'
import type { Test } from 'tap'
import { startChild, type Child } from '../support/child-process.js'
import { Counters } from './race/counters.js'
import type { ServerSettings } from './server.js'

export type ServerProcess = Child<{ origin: string }>

export interface Processes {
  readonly servers: readonly ServerProcess[]
  readonly counters: Counters
}

/** Several processes of one application on one Redis, and their database, until the test ends. */
export async function startProcesses (t: Test, count: number, settings: Omit<ServerSettings, 'countersPort'>): Promise<Processes> {
  const database = await startChild<{ port: number }>(join(__dirname, 'race', 'counters.js'))
  const countersPort = database.hello.port
  const started = Array.from({ length: count }, async () =>
    await startChild<{ origin: string }>(join(__dirname, 'server.js'), JSON.stringify({ ...settings, countersPort })))
  const servers = await Promise.all(started)
  const counters = await Counters.open(countersPort)
  t.teardown(async () => {
    counters.close()
    await Promise.all([...servers, database].map((child) => child.kill()))
  })
  return { servers, counters }
}
