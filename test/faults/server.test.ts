import { serverFaults } from './server-faults.js'
import { proveAll } from './prove.js'

proveAll(serverFaults)
