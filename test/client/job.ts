import { createApiCache, type ApiCacheClient } from '../../lib/client.js'

/*
 * A job in a process of its own: node job.js <what it does> <names>; REDIS_URL says where. Prints one line of JSON and
 * ends by itself: nothing here calls process.exit().
 */

const DOES: Record<string, (cache: ApiCacheClient, names: string[]) => Promise<unknown>> = {
  invalidate: async (cache, names) => await swept(cache.invalidate(names)),
  invalidateTags: async (cache, names) => await swept(cache.invalidateTags(names)),
  clear: async (cache) => await swept(cache.clear()),
  writing: async (cache, names) => { await cache.writing(names, () => {}) },
  keys: async (cache, [name]) => await listed(cache.keys(name!)),
  namespaces: async (cache) => await listed(cache.namespaces()),
  modules: async () => Object.keys(require.cache).filter((file) => /[\\/]node_modules[\\/](fastify|fastify-plugin)[\\/]/.test(file))
}

async function swept (invalidated: ReturnType<ApiCacheClient['invalidate']>): Promise<unknown> {
  const { delivered, swept } = await invalidated
  return { delivered, swept: await swept }
}

async function listed (list: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = []
  for await (const one of list) found.push(one)
  return found
}

async function main (what: string, names: string[]): Promise<void> {
  const { TIMEOUT = 10_000, GIVES_UP, REDIS_URL } = process.env
  const redis = GIVES_UP === undefined ? {} : { redis: { port: Number(new URL(REDIS_URL!).port), retryStrategy: () => null } }
  const cache = createApiCache({ timeout: Number(TIMEOUT), ...redis })
  const began = performance.now()
  try {
    console.log(JSON.stringify({ result: await DOES[what]!(cache, names) }))
  } catch (error) {
    process.exitCode = 1
    console.log(JSON.stringify({ code: (error as { code: string }).code, after: performance.now() - began }))
  }
  await cache.close()
}

void main(process.argv[2]!, process.argv.slice(3))
