import { itemText } from '../payload.js'

/** Bodies that cost nothing but a lookup once they were asked for. */
export function readyBodies (bodyBytes: number): (id: number) => Buffer {
  const bodies = new Map<number, Buffer>()
  return (id) => {
    let body = bodies.get(id)
    if (body === undefined) {
      body = Buffer.from(itemText(id, bodyBytes))
      bodies.set(id, body)
    }
    return body
  }
}
