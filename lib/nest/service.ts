import { Inject, Injectable } from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import type { FastifyInstance } from 'fastify'
import type { ApiCache } from '../api.js'

/** The cache for providers: what `fastify.apiCache` is for Fastify. */
export class ApiCacheService implements Omit<ApiCache, never> {
  readonly #host: HttpAdapterHost

  constructor (host: HttpAdapterHost) {
    this.#host = host
  }

  /** There from the application's `init()` on. */
  get #cache (): ApiCache {
    return (this.#host.httpAdapter.getInstance() as FastifyInstance).apiCache
  }

  invalidate: ApiCache['invalidate'] = (...args) => this.#cache.invalidate(...args)
  invalidateTags: ApiCache['invalidateTags'] = (...args) => this.#cache.invalidateTags(...args)
  clear: ApiCache['clear'] = () => this.#cache.clear()
  writing: ApiCache['writing'] = (...args) => this.#cache.writing(...args)
  keys: ApiCache['keys'] = (namespace) => this.#cache.keys(namespace)
  namespaces: ApiCache['namespaces'] = () => this.#cache.namespaces()
  isRefresh: ApiCache['isRefresh'] = (request) => this.#cache.isRefresh(request)
  stats: ApiCache['stats'] = () => this.#cache.stats()
  settled: ApiCache['settled'] = () => this.#cache.settled()
}

Injectable()(ApiCacheService)
Inject(HttpAdapterHost)(ApiCacheService, undefined, 0)
