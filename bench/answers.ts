import type { Ask } from './ask.js'
import { itemText } from './payload.js'

/** Asks for some ids, and compares each answer byte by byte. */
export async function checkAnswers (ask: Ask, origin: string, ids: number[], bodyBytes: number, header?: string): Promise<void> {
  for (const id of ids) {
    const { status, header: headerOf, body } = await ask(origin, `/items/${id}`)
    const said = headerOf('x-api-cache')
    if (status !== 200) throw new Error(`/items/${id} was answered with ${status}`)
    if (header !== undefined && said !== header) throw new Error(`/items/${id} was a ${said ?? 'nameless'} answer where a ${header} was due`)
    if (!body.equals(Buffer.from(itemText(id, bodyBytes)))) throw new Error(`/items/${id} had other bytes`)
  }
}

const concurrency = 32

/** Asks once for each id. */
export async function askForAll (ask: Ask, origin: string, from: number, to: number): Promise<void> {
  let next = from
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (next < to) {
      const { status } = await ask(origin, `/items/${next++}`)
      if (status !== 200) throw new Error(`a request was answered with ${status}`)
    }
  }))
}
