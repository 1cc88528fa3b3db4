import { topologyFaults } from './topology-faults.js'
import { proveAll } from './prove.js'

proveAll(topologyFaults)
