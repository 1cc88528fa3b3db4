// Commits a write and invalidates nothing, as if it crashed in between: node outbox-writer.js <folder of the database>
import { sayHello } from '../support/child-process.js'
import { openDatabase } from './database.js'

async function main (): Promise<void> {
  const database = await openDatabase(process.argv[2]!)
  await database.exec("begin; insert into prices values ('tea', 4, null); commit")
  sayHello({})
  setInterval(() => {}, 1_000_000)
}

main()
