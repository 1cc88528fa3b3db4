import t from 'tap'
import { startChild } from '../support/child-process.js'
import { MAX_BYTES, shapes, type Filled } from './memory-filler.js'

/*
 * A limit that does not count what is really kept is none.
 */

for (const where of ['the memory store', 'the local tier']) {
  for (const what of Object.keys(shapes)) {
    t.test(`${where} takes at most one and a half times its limit, and more than a half, with ${what}`, async (t) => {
      const child = await startChild<Filled>(require.resolve('./memory-filler.js'), where, what)
      t.teardown(() => child.kill())
      const { bytes, entries } = child.hello
      const share = bytes / MAX_BYTES
      t.comment(`${share.toFixed(2)} of the limit, ${Math.round(bytes / entries)} bytes an entry`)
      t.ok(share <= 1.5 && share >= 0.5, `${share}`)
      const { bodyBytes } = shapes[what]!
      if (bodyBytes !== undefined) t.ok(bytes / entries <= 1.25 * bodyBytes, 'an answer is kept once')
    })
  }
}
