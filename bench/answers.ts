import { itemText } from './payload.js'

/** Asks for some ids by a client other than the load's, and compares each answer byte by byte. */
export async function checkAnswers (origin: string, ids: number[], bodyBytes: number, header?: string): Promise<void> {
  for (const id of ids) {
    const response = await fetch(`${origin}/items/${id}`)
    const body = Buffer.from(await response.arrayBuffer())
    const said = response.headers.get('x-api-cache') ?? undefined
    if (response.status !== 200) throw new Error(`/items/${id} was answered with ${response.status}`)
    if (header !== undefined && said !== header) throw new Error(`/items/${id} was a ${said ?? 'nameless'} answer where a ${header} was due`)
    if (!body.equals(Buffer.from(itemText(id, bodyBytes)))) throw new Error(`/items/${id} had other bytes`)
  }
}

const concurrency = 32

/** Asks once for each id. */
export async function askForAll (origin: string, from: number, to: number): Promise<void> {
  let next = from
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (next < to) {
      const response = await fetch(`${origin}/items/${next++}`)
      await response.arrayBuffer()
      if (response.status !== 200) throw new Error(`a request was answered with ${response.status}`)
    }
  }))
}
