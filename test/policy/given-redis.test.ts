import Fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster, createSentinel } from 'redis'
import t from 'tap'
import apiCache, { type ApiCacheOptions } from '../../index.js'
import { faultOf } from '../../lib/store/given-redis.js'

const client = new Redis({ lazyConnect: true })
const nodes = [{ host: 'host', port: 6379 }]

const usable: Record<string, unknown> = {
  'an ioredis client': client,
  'an ioredis Cluster': new Cluster(nodes, { lazyConnect: true }),
  'a client of a class of the application\'s own': new (class extends Redis {})({ lazyConnect: true }),
  'a client of node-redis': createClient(),
  'a client of node-redis with options of its own': createClient().withTypeMapping({}),
  'a cluster of node-redis': createCluster({ rootNodes: [{ url: 'redis://host' }] }),
  'a URL': 'redis://host',
  'a URL with all that it may have': 'rediss://user:p%40ss@host:6380/2?family=6',
  'a URL in capitals': 'REDIS://HOST',
  'a URL with an IPv6 address': 'redis://[::1]:6379',
  'a host': { host: 'host', port: 6379, password: 'secret' },
  'a port': { port: 6380 },
  'a path': { path: '/run/redis.sock', db: 2 },
  TLS: { host: 'host', tls: { rejectUnauthorized: true } },
  sentinels: { sentinels: nodes, name: 'main', sentinelPassword: 'secret', role: 'master', natMap: {} },
  'a Connector with options of its own': { Connector: class {}, url: 'redis://host' },
  'options that leave the server to ioredis': { db: 3, keyPrefix: 'app:', tls: {}, maxRetriesPerRequest: null },
  'no options': {},
  'options without a prototype': Object.assign(Object.create(null), { host: 'host' }),
  'another library\'s option that is undefined': { host: 'host', url: undefined },
  'an option beside a server that is not known here': { host: 'host', laterOption: true }
}
for (const [what, value] of Object.entries(usable)) {
  t.test(`redis may be ${what}`, async (t) => { t.equal(faultOf(value), undefined) })
}

const NODE_REDIS = 'a pool, a Sentinel or a legacy client of node-redis'
const NO_URL = "a string that is not a redis:// or rediss:// URL; write 'redis://localhost:6379', or { path } for a socket"
const foreign = (name: string, instead: string): string =>
  `options with '${name}', which ioredis does not know; ${instead}`
const localhost = (name: string): string =>
  `options with '${name}', with which ioredis would connect to localhost; write host, port, path or sentinels`

const refused: Array<[what: string, value: unknown, got: string]> = [
  ['a client pool of node-redis', createClientPool(), NODE_REDIS],
  ['a sentinel client of node-redis', createSentinel({ name: 'main', sentinelRootNodes: nodes }), NODE_REDIS],
  ['a client of node-redis with callbacks', createClient().legacy(), NODE_REDIS],
  ['a client over HTTP', { mget () {}, pipeline () {} }, 'a client that is neither of ioredis nor of node-redis'],
  ['a pipeline', client.pipeline(), 'an ioredis pipeline'],
  ['a transaction', client.multi(), 'an ioredis pipeline'],
  ['a promise', Promise.resolve(client), 'a promise; await it first'],
  ['a list', nodes, 'a list of 1'],
  ['a class', Redis, 'a value of type function'],
  ['a URL object', new URL('redis://:secret@host'), 'an instance of URL'],
  ['an instance of a class', new (class Settings { host = 'host' })(), 'an instance of Settings'],
  ['an instance of a class without a name', new (class {})(), 'an instance of some class'],
  ['options of node-redis', { url: 'redis://:secret@host' }, foreign('url', 'pass the URL itself')],
  ['a socket in them', { socket: { host: 'host' }, port: 6379 }, foreign('socket', 'write host and port, or path')],
  ['a database in them', { host: 'host', database: 3 }, foreign('database', 'write db')],
  ['the nodes of a Cluster', { nodes }, foreign('nodes', 'pass new Cluster(nodes) of ioredis')],
  ['nodes as in node-redis', { rootNodes: nodes }, foreign('rootNodes', 'pass new Cluster(nodes) of ioredis')],
  ['options of a Cluster', { redisOptions: { host: 'host' }, scaleReads: 'master' }, localhost('redisOptions')],
  ['an unknown name for the host', { hostname: 'host', password: 'secret' }, localhost('hostname')],
  ['a master\'s name without sentinels', { name: 'main' }, localhost('name')],
  ['a client inside options', { client }, localhost('client')],
  ['a host and a port', 'localhost:6379', NO_URL],
  ['a port', '6379', NO_URL],
  ['a path', '/run/redis.sock', NO_URL],
  ['another protocol', 'https://:secret@host', NO_URL],
  ['a URL without a host', 'redis://', NO_URL],
  ['a URL with only a database', 'redis:///2', NO_URL],
  ['a URL with an invalid port', 'redis://host:99999', NO_URL],
  ['a URL with a password that is not encoded', 'redis://:100%secret@host', NO_URL],
  ['a URL after a space', ' redis://host', NO_URL],
  ['an empty string', '', NO_URL],
  ['a number', 6379, '6379']
]
for (const [what, value, got] of refused) {
  t.test(`redis may not be ${what}, and the error says what to pass, without possible secrets`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => { await app.register(apiCache, { redis: value } as ApiCacheOptions) }, {
      code: 'FST_API_CACHE_INVALID_FIELD',
      message: `fastify-api-cache: 'redis' must be a client or Cluster of ioredis or node-redis, a URL or ioredis options, got ${got}`
    })
  })
}
