import { Agent, request } from 'node:http'

/** One answer to a request that was sent at a time that was planned before, however long earlier ones took. */
export interface Timed {
  /** When it was due and when it had arrived, in milliseconds of `performance.now()`. */
  readonly dueAt: number
  readonly arrivedAt: number
  readonly status: number
  readonly cacheStatus: string
  readonly body: string
}

const agent = new Agent({ keepAlive: true, maxSockets: 1_000 })

export function ask (url: string, method: 'GET' | 'PUT' = 'GET', dueAt = performance.now()): Promise<Timed> {
  return new Promise((resolve, reject) => {
    request(url, { agent, method }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => { body += text }).on('error', reject).on('end', () => {
        const arrivedAt = performance.now()
        const { statusCode: status = 0, headers } = response
        resolve({ dueAt, arrivedAt, status, cacheStatus: String(headers['cache-status'] ?? ''), body })
      })
    }).on('error', reject).end()
  })
}

/** Begins so much work a second, so many times, and waits for all of it. */
export async function paced<T> (perSecond: number, count: number, work: (index: number, dueAt: number) => Promise<T>): Promise<T[]> {
  const results: Array<Promise<T>> = []
  const began = performance.now()
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      // A timer that was late begins what was due meanwhile.
      while (results.length < count) {
        const dueAt = began + results.length * 1000 / perSecond
        if (dueAt > performance.now()) return
        results.push(work(results.length, dueAt))
      }
      clearInterval(timer)
      resolve()
    }, 1)
  })
  return await Promise.all(results)
}

/** Sends so many requests a second for so many seconds, and waits for all answers. */
export async function steadyLoad (url: string, perSecond: number, seconds: number): Promise<Timed[]> {
  return await paced(perSecond, perSecond * seconds, (_index, dueAt) => ask(url, 'GET', dueAt))
}
