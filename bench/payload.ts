interface User {
  id: number
  name: string
  email: string
  role: string
  active: boolean
}

export interface Item {
  id: string
  users: User[]
  pad: string
}

/** Every JSON text of one size begins with `{"id":"` and ten digits, and then goes on with the same bytes. */
export const idLength = 10
export const idOffset = '{"id":"'.length

const templates = new Map<number, Pick<Item, 'users' | 'pad'>>()

function template (bodyBytes: number): Pick<Item, 'users' | 'pad'> {
  let known = templates.get(bodyBytes)
  if (known === undefined) {
    const users: User[] = []
    let bytes = JSON.stringify({ id: '0'.repeat(idLength), users, pad: '' }).length
    for (let id = 1; ; id++) {
      const user = { id, name: `User ${id}`, email: `user-${id}@example.org`, role: id % 10 === 0 ? 'admin' : 'member', active: id % 3 !== 0 }
      const more = JSON.stringify(user).length + (users.length > 0 ? 1 : 0)
      if (bytes + more > bodyBytes) break
      bytes += more
      users.push(user)
    }
    known = { users, pad: 'x'.repeat(Math.max(0, bodyBytes - bytes)) }
    templates.set(bodyBytes, known)
  }
  return known
}

/** What a handler would have read from its database; as JSON it is exactly `bodyBytes` long. */
export function item (id: number, bodyBytes: number): Item {
  const { users, pad } = template(bodyBytes)
  return { id: String(id).padStart(idLength, '0'), users, pad }
}

export function itemText (id: number, bodyBytes: number): string {
  return JSON.stringify(item(id, bodyBytes))
}
