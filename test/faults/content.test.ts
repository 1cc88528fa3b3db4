import { contentFaults } from './content-faults.js'
import { proveAll } from './prove.js'

proveAll(contentFaults)
