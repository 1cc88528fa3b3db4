import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ended, killOnExit } from './children.js'
import { onCore, serverCore } from './cores.js'
import type { Delay, Mark, Memory, Question, Started } from './server.js'
import type { Scenario, Subject } from './subjects/subject.js'

/** Milliseconds that a server may take to end. */
const LONGEST_EXIT = 5_000

/** A subject in a process and on a core of its own. */
export class ServerProcess {
  readonly origin: string
  #child: ChildProcess

  private constructor (child: ChildProcess, port: number) {
    this.#child = child
    this.origin = `http://127.0.0.1:${port}`
  }

  static async start (subject: Subject, scenario: Scenario, core = serverCore): Promise<ServerProcess> {
    const [command, args] = onCore(core, process.execPath, [
      '--expose-gc', join(__dirname, 'server.js'), subject.name, JSON.stringify(scenario)
    ])
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' }
    })
    const { pid } = child
    if (pid !== undefined) {
      killOnExit(pid)
      child.once('exit', () => ended(pid))
    }
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { complaint = (complaint + text).slice(-2000) })
    const [started] = await Promise.race([
      once(child, 'message') as Promise<[Started]>,
      once(child, 'close').then(() => { throw new Error(complaint.trim() || 'the server ended while starting') })
    ])
    return new ServerProcess(child, started.port)
  }

  mark (): Promise<Mark> {
    return this.#ask('mark')
  }

  memory (): Promise<Memory> {
    return this.#ask('memory')
  }

  delay (): Promise<Delay> {
    return this.#ask('delay')
  }

  async stop (): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    // It ends with its channel, and takes with it what it started.
    this.#child.disconnect()
    const late = setTimeout(() => this.#child.kill('SIGKILL'), LONGEST_EXIT)
    await exited
    clearTimeout(late)
  }

  async #ask<Answer> (question: Question): Promise<Answer> {
    if (!this.#child.connected) throw new Error('the server has ended')
    const answered = once(this.#child, 'message', { signal: AbortSignal.timeout(60_000) })
    this.#child.send(question)
    const [answer] = await answered
    return answer as Answer
  }
}
