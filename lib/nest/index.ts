/** `fastify-api-cache/nest`: for NestJS on its Fastify adapter. */

export { Cached, Invalidates, NoCache } from './decorators.js'
export { ApiCacheInterceptor } from './interceptor.js'
export { ApiCacheModule, type ApiCacheModuleAsyncOptions, type ApiCacheModuleOptions } from './module.js'
export { ApiCacheService } from './service.js'
