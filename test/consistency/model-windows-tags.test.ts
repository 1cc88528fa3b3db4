import { isNeverStale } from './model/check.js'

/* What model-windows.test.ts shows of a namespace, of a tag of the payload. */

for (const [sameProcess, holding] of [[false, false], [true, false], [false, true], [true, true]] as const) {
  isNeverStale('no order of the steps of readers from a lagging replica, writers with a window and one without makes a read stale after the window',
    { payloadTags: true, sameProcess, holding, settling: true })
}
