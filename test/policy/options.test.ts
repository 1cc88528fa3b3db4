import Fastify from 'fastify'
import t from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'

async function registering (options: object): Promise<void> {
  const app = Fastify()
  try {
    await app.register(apiCache, options as ApiCacheOptions)
  } finally {
    await app.close()
  }
}

const typos: Array<[typo: string, nearest: string]> = [
  ['prefx', 'prefix'], ['respnseHeader', 'responseHeader'], ['responseheader', 'responseHeader'], ['expires', 'expire'],
  ['timeOut', 'timeout'], ['Redis', 'redis'], ['redisNamespaces', 'redisNamespace'], ['statusses', 'statuses'], ['memmory', 'memory']
]
for (const [typo, nearest] of typos) {
  t.test(`an option '${typo}' is an error that names '${nearest}'`, async (t) => {
    await t.rejects(registering({ store: 'memory', [typo]: undefined }), {
      code: 'FST_API_CACHE_UNKNOWN_FIELD',
      message: `fastify-api-cache has no field '${typo}'; did you mean '${nearest}'?`
    })
  })
}

const foreign: Array<[name: string, meant: string]> = [
  ['ttl', 'expire'], ['maxAge', 'expire'], ['lease', 'coalesceTimeout'], ['client', 'redis'], ['header', 'responseHeader'], ['skip', 'bypass']
]
for (const [name, meant] of foreign) {
  t.test(`an option '${name}', which is near to no name, is an error that lists all names`, async (t) => {
    await t.rejects(registering({ store: 'memory', [name]: 1 }), {
      code: 'FST_API_CACHE_UNKNOWN_FIELD',
      message: new RegExp(`^fastify-api-cache has no field '${name}'; did you mean one of .*'${meant}'.*'\\?$`)
    })
  })
}

t.test('an unknown bound of the memory store is an error that names the nearest', async (t) => {
  await t.rejects(registering({ store: 'memory', memory: { maxSize: 1 } }), {
    code: 'FST_API_CACHE_UNKNOWN_FIELD', message: "fastify-api-cache: memory has no field 'maxSize'; did you mean 'maxBytes'?"
  })
})

t.test('an unknown or invalid field of credentials is an error, on the plugin and on a route', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(apiCache, { store: 'memory' })
  const wrong: Array<[credentials: object, code: string, message: RegExp]> = [
    [{ cookie: ['a'] }, 'FST_API_CACHE_UNKNOWN_FIELD', /: credentials has no field 'cookie'; did you mean 'cookies'\?$/],
    [{ cookies: 'a' }, 'FST_API_CACHE_INVALID_FIELD', /: credentials: 'cookies' must be a list of non-empty strings, got 'a'$/],
    [{ cookies: [''] }, 'FST_API_CACHE_INVALID_FIELD', /'cookies' must be/],
    [{ headers: ['*'] }, 'FST_API_CACHE_INVALID_FIELD', /: credentials: 'headers' must be a list of header names, got a list of 1$/],
    [{ headers: ['a b'] }, 'FST_API_CACHE_INVALID_FIELD', /'headers' must be/]
  ]
  for (const [credentials, code, message] of wrong) {
    await t.rejects(registering({ store: 'memory', credentials }), { code, message })
    const cache = { namespace: 'a', expire: 60, credentials }
    t.throws(() => { app.get('/', { config: { cache } }, async () => 'answer') }, { code, message })
  }
})

const wrong: Array<[field: string, expected: RegExp, ...values: unknown[]]> = [
  ['store', /must be 'redis', 'memory' or an object with the methods of a store/, 'disk', '', {}, true, null, () => {}],
  ['redis', /must be a client or Cluster of ioredis or node-redis, a URL or ioredis options/, '', 6379, true, null, []],
  ['redisNamespace', /must be the name of a namespace of @fastify\/redis/, '', 1, null, {}],
  ['prefix', /must be up to 64 letters, digits and _ \. : @ \/ -/, '', 'a|b', 'a!b', 'a b', 'a*', 'ä', 'x'.repeat(65), 1, null],
  ['application', /must be the name of the application/, '', 1, null, false],
  ['responseHeader', /must be the name of a header or false/, '', 'X API Cache', 'x:y', 'x\r\ny', 'ä', true, 1, null],
  ['sweepShare', /must be a number above 0 and at most 1, such as 0\.1/, 0, -0.1, 1.1, 10, Infinity, NaN, '0.1', true, null],
  ['timeout', /must be whole milliseconds above 0/, 0, -1, 1.5, Infinity, NaN, '500', null],
  ['enabled', /must be true or false/, 'no', 0, null, () => false],
  ['bypass', /must be a function of the request/, true, 'x-bypass', null, {}],
  ['coalesceTimeout', /must be whole milliseconds above 0/, 0, -1, 1.5, Infinity, '500'],
  ['guards', /must be 'hooks' or left out/, 'nest', '', true, false, null, []],
  ['memory', /must be an object with maxBytes and maxEntries/, 1024, '1 MB', null, []],
  ['expire', /must be whole seconds from 1 to 31536000 or a duration such as '15m' or '1 day'/, 0, -1, 1.5, 31_536_001, '0s', 'soon', null, true],
  ['scope', /must be 'anonymous', 'shared' or a function of the request/, 'private', '', true, null],
  ['credentials', /must be an object such as \{ headers: \['x-api-key'\], cookies: \['session'\] \}/, 'session', ['session'], true, null],
  ['query', /must be a list of non-empty strings/, 'skip', [''], [1], null],
  ['ignoreQuery', /must be a list of non-empty strings/, 'utm_*', [''], null],
  ['vary', /must be a list of header names/, 'accept', ['*'], ['a b'], [''], null],
  ['host', /must be true, or false for one answer for all hosts/, 'shop.example', 0, null, ['a']],
  ['revision', /must be a non-empty string such as a commit/, '', 1, null, ['a'], true],
  ['maxBytes', /must be a number of bytes above 0/, 0, -1, 1.5, '1 MB', null],
  ['statuses', /must be a list of statuses from 200 to 599 without 206 and 304/, 200, [], [100], [206], [304], [600], ['200'], null],
  ['requestDirectives', /must be 'obey' or 'ignore'/, 'obay', true],
  ['clientExpire', /must be 0 or whole seconds from 1 to 31536000 or a duration/, -1, 0.5, '0s', null],
  ['coalesce', /must be 'process' or 'fleet'/, 'all', true],
  ['compress', /must be true, false or a list of 'br', 'zstd', 'gzip'/, 'br', [], ['deflate'], ['br', 1], ['toString'], 1, null, {}],
  ['storeCompressed', /must be true or false/, 'br', 1, null, ['br']],
  ['earlyRefresh', /must be true, false or a factor above 0/, 0, -1, 'yes', Infinity],
  ['staleWhileRevalidate', /must be 0 or whole seconds from 1 to 31536000 or a duration/, -1, '0s', true],
  ['staleIfError', /must be 0 or whole seconds from 1 to 31536000 or a duration/, 0.5, null],
  ['softTimeout', /must be whole milliseconds above 0/, 0, 1.5, '1s'],
  ['refreshWith', /must be 'handler' or 'inject'/, 'reply', true]
]
for (const [field, expected, ...values] of wrong) {
  t.test(`a wrong value of the option '${field}' is an error that says what to write`, async (t) => {
    for (const value of values) {
      await t.rejects(registering({ store: 'memory', [field]: value }), {
        code: 'FST_API_CACHE_INVALID_FIELD', message: expected
      }, String(value))
    }
  })
}

t.test('an invalid bound of the memory store is an error', async (t) => {
  for (const memory of [{ maxBytes: 0 }, { maxBytes: -1 }, { maxEntries: 0.5 }, { maxEntries: '10' }]) {
    await t.rejects(registering({ store: 'memory', memory }), {
      code: 'FST_API_CACHE_INVALID_FIELD', message: /memory: 'max(Bytes|Entries)' must be a number of (bytes|entries) above 0/
    })
  }
})

t.test('an error shows a wrong value in short form, and never a possible secret', async (t) => {
  await t.rejects(registering({ prefix: 'a|b' }), { message: /got 'a\|b'$/ })
  await t.rejects(registering({ prefix: 'x'.repeat(100) }), { message: /got 'x{40}'$/ })
  await t.rejects(registering({ prefix: { password: 'secret' } }), { message: /got a value of type object$/ })
  await t.rejects(registering({ statuses: [] }), { message: /got an empty list$/ })
  await t.rejects(registering({ statuses: [1, 2] }), { message: /got a list of 2$/ })
})

t.test('every option may be left undefined, and the options are not changed', async (t) => {
  const options = Object.freeze({
    store: 'memory',
    redis: undefined,
    redisNamespace: undefined,
    prefix: undefined,
    application: undefined,
    responseHeader: undefined,
    timeout: undefined,
    sweepShare: undefined,
    coalesceTimeout: undefined,
    enabled: undefined,
    bypass: undefined,
    guards: undefined,
    memory: undefined,
    expire: undefined,
    scope: undefined,
    query: undefined,
    ignoreQuery: undefined,
    vary: undefined,
    host: undefined,
    revision: undefined,
    maxBytes: undefined,
    statuses: undefined
  })
  await t.resolves(registering(options))
})
