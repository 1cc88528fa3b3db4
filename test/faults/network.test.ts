import { networkFaults } from './network-faults.js'
import { proveAll } from './prove.js'

proveAll(networkFaults)
