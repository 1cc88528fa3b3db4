// For `import`: the same single copy that require() gives, with its names where import looks for
// them. Node can't see those that index.ts puts on a function, so they come from their own file.
import apiCache from './index.js'

export { apiCache as default, apiCache }
export * from './lib/exports.js'
