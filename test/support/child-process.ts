import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** A program of the test's own in a process of its own. */
export interface Child<Hello> {
  /** What the program sent first, when it was ready. */
  readonly hello: Hello
  readonly process: ChildProcess
  /** Ends it as a crash would. */
  kill (): Promise<void>
}

/**
 * Starts a compiled program and waits until it sends its first message. It has to end when its
 * channel is closed, so that it never outlives this process.
 */
export async function startChild<Hello> (program: string, ...args: string[]): Promise<Child<Hello>> {
  // `env -u`: tap gives every child process options that load its own hooks.
  const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, program, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const failed = new AbortController()
  const onExit = (): void => { failed.abort(new Error(`${program} ended before it was ready`)) }
  child.once('exit', onExit)
  const [hello] = await once(child, 'message', { signal: failed.signal }) as [Hello]
  child.off('exit', onExit)
  return {
    hello,
    process: child,
    async kill () {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

/** For the program: says that it is ready, and ends with the process that started it. */
export function sayHello (hello: object): void {
  process.once('disconnect', () => { process.exit() })
  process.send!(hello)
}
