/** Parts of the schemas of several routes. */

const MAX_ID = 2_147_483_647

export const id = { type: 'integer', minimum: 1, maximum: MAX_ID } as const
export const dateTime = { type: 'string', format: 'date-time' } as const

export interface Page {
  limit: number
  skip: number
}

export const page = {
  limit: { type: 'integer', minimum: 1, maximum: 500, default: 100 },
  skip: { type: 'integer', minimum: 0, maximum: MAX_ID, default: 0 }
} as const

export interface ById {
  id: number
}

export const byId = { type: 'object', required: ['id'], properties: { id } } as const

export const listOf = <Item>(items: Item) => ({ type: 'array', items }) as const

/**
 * The parameters of a query. Defaults are filled in and other parameters removed before the cache
 * lookup: `/users`, `/users?skip=0&limit=100` and `/users?from=mail` share one entry.
 */
export const query = <Properties extends object>(properties: Properties) =>
  ({ type: 'object', properties, additionalProperties: false })

/** A response with all of these properties. */
export const answer = <Properties extends object>(properties: Properties) =>
  ({ type: 'object', required: Object.keys(properties), properties })

/** A request body with all of these properties and no others. */
export const body = <Properties extends object>(properties: Properties) =>
  ({ ...answer(properties), additionalProperties: false })
