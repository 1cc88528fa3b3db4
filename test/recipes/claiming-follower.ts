// Follows an outbox, and never gets to invalidate what it has claimed: node claiming-follower.js <folder of the database>
import { followOutbox } from '../../lib/postgres/index.js'
import { sayHello } from '../support/child-process.js'
import { openDatabase } from './database.js'

async function main (): Promise<void> {
  const database = await openDatabase(process.argv[2]!)
  const invalidate = async (): Promise<never> => {
    sayHello({})
    return await new Promise<never>(() => {})
  }
  followOutbox({
    query: (sql, parameters) => database.query<object>(sql, parameters),
    cache: { invalidate, invalidateTags: invalidate },
    onError: (error) => { throw error }
  })
}

main()
