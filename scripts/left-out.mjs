// Which tests are left out with another version of Fastify, and why.

/** Features of Fastify that the tests themselves use. */
const FEATURES = [
  { since: [5, 4], feature: 'request.getDecorator', tests: ['explain/explain'] },
  { since: [5, 5], feature: 'routerOptions', tests: ['keys/constraints', 'keys/requests.property', 'keys/shapes'] },
  { since: [5, 8], feature: 'handlerTimeout', tests: ['guards/handler-timeout', 'consistency/unknown-outcomes'] },
  // The example server uses it.
  { since: [5, 10], feature: 'LogController', tests: ['examples/page', 'examples/server'] }
]

/** Faults of Fastify that also occur without the plugin. */
const FAULTS = [
  {
    isIn: (version) => /^6\.0\.0-alpha\.[0-4]$/.test(version),
    fault: 'this Fastify leaves a rejection unhandled when a response ends after its handlerTimeout',
    tests: ['guards/handler-timeout', 'consistency/unknown-outcomes']
  }
]

/** These pack or compile the project with the Fastify of package-lock.json. */
const UNRELATED = ['package/consumers', 'package/published', 'package/setup']

/** The tests that are left out with a version of Fastify, by the reason. */
export function leftOut (version) {
  const missing = FEATURES.filter(({ since }) => isBefore(version, since))
  const faults = FAULTS.filter(({ isIn }) => isIn(version))
  return new Map([
    ['they do not depend on the version of Fastify', UNRELATED],
    ...missing.map(({ since, feature, tests }) => [`Fastify has ${feature} since ${since.join('.')}`, tests]),
    ...faults.map(({ fault, tests }) => [fault, tests])
  ])
}

export function isBefore (version, [major, minor]) {
  const [itsMajor, itsMinor] = version.split('.').map(Number)
  return itsMajor < major || (itsMajor === major && itsMinor < minor)
}
