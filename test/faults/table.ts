import { contentFaults } from './content-faults.js'
import { networkFaults } from './network-faults.js'
import { observe } from './outage.js'
import { serverFaults } from './server-faults.js'
import { topologyFaults } from './topology-faults.js'

/** Prints what was seen under each fault whose name has the words given, or under all of them. */
async function main (): Promise<void> {
  const words = process.argv.slice(2).join(' ')
  console.log('| fault | requests | not 200 | slowest ms | uncached: slowest ms | known: slowest ms | known: p99 ms | uncached: p99 ms | stale after | stale | caching resumed s | log |')
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
  for (const fault of [...serverFaults, ...networkFaults, ...topologyFaults, ...contentFaults]) {
    if (!fault.name.includes(words)) continue
    const { requests, refused, slowest, slowestUncached, slowestKnown, p99Known, p99Uncached, staleAfter, stale, resumed, complaints } = await observe(fault)
    const numbers = [requests, refused, Math.round(slowest), Math.round(slowestUncached), Math.round(slowestKnown), Math.round(p99Known), Math.round(p99Uncached), staleAfter, stale, (resumed / 1000).toFixed(2), complaints]
    console.log(`| ${fault.name} | ${numbers.join(' | ')} |`)
  }
}

main()
