// Follows an outbox that is always empty, and closes: nothing keeps this process.
import { followOutbox } from '../../lib/postgres/index.js'

async function main (): Promise<void> {
  const nothing = async (): Promise<{ delivered: boolean }> => ({ delivered: true })
  const follower = followOutbox({
    query: async () => ({ rows: [] }), cache: { invalidate: nothing, invalidateTags: nothing }, onError: () => {}
  })
  process.send!({})
  await new Promise((resolve) => { setImmediate(resolve) })
  await follower.close()
  process.disconnect()
}

main()
