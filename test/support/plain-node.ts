import { execFile } from 'node:child_process'

export interface Outcome {
  status: number | null
  stdout: string
  stderr: string
}

/**
 * Runs Node as a user would. tap gives every child process NODE_OPTIONS that load its own hooks,
 * whatever environment was asked for; `env -u` is how to get rid of them.
 */
export async function plainNode (args: string[], options: { cwd?: string, env?: NodeJS.ProcessEnv } = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], {
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
      ...options,
      env: { ...process.env, ...options.env }
    }, (_error, stdout, stderr) => { resolve({ status: child.exitCode, stdout, stderr }) })
  })
}
