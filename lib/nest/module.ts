import { Inject, Module, type DynamicModule, type ModuleMetadata, type NestModule, type Provider } from '@nestjs/common'
import { APP_INTERCEPTOR, HttpAdapterHost, ModulesContainer } from '@nestjs/core'
import type { FastifyInstance } from 'fastify'
import apiCache from '../../index.js'
import { AlreadyRegisteredError, NestAdapterError } from '../errors.js'
import { kInHandler } from '../fastify/in-handler.js'
import { kNestModule } from '../fastify/nest.js'
import type { ApiCacheOptions } from '../options.js'
import { prepareControllers } from './controllers.js'
import { ApiCacheInterceptor } from './interceptor.js'
import { ApiCacheService } from './service.js'

/** The options of the plugin. Guards of NestJS run on every HIT, so `guards` is not needed. */
export type ApiCacheModuleOptions = Omit<ApiCacheOptions, 'guards'>

export interface ApiCacheModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  inject?: Array<NonNullable<Extract<Provider, { inject?: unknown }>['inject']>[number]>
  // The arguments are what `inject` names, which types cannot tell.
  useFactory: (...args: never[]) => ApiCacheModuleOptions | Promise<ApiCacheModuleOptions>
}

const OPTIONS = Symbol('fastify-api-cache.options')

/** Caches the responses of controllers on the Fastify adapter. Import it once, in the root module. */
export class ApiCacheModule implements NestModule {
  readonly #host: HttpAdapterHost
  readonly #modules: ModulesContainer
  readonly #options: ApiCacheModuleOptions

  constructor (host: HttpAdapterHost, modules: ModulesContainer, options: ApiCacheModuleOptions) {
    this.#host = host
    this.#modules = modules
    this.#options = options
  }

  static forRoot (options: ApiCacheModuleOptions = {}): DynamicModule {
    return withOptions({ provide: OPTIONS, useValue: options })
  }

  static forRootAsync ({ imports = [], inject = [], useFactory }: ApiCacheModuleAsyncOptions): DynamicModule {
    return { ...withOptions({ provide: OPTIONS, inject, useFactory: useFactory as () => unknown }), imports }
  }

  /**
   * Called before NestJS declares its routes.
   * @throws NestAdapterError, AlreadyRegisteredError, and what is wrong with options or decorators
   */
  async configure (): Promise<void> {
    const adapter = this.#host.httpAdapter
    if (adapter?.getType?.() !== 'fastify') throw new NestAdapterError()
    const fastify = adapter.getInstance() as FastifyInstance
    if (fastify.hasDecorator(kNestModule)) {
      throw new AlreadyRegisteredError('ApiCacheModule is imported twice; import it once, in the root module')
    }
    fastify.decorate(kNestModule, true)
    await fastify.register(apiCache, this.#options)
    prepareControllers(this.#modules, fastify[kInHandler])
  }
}

function withOptions (options: Provider): DynamicModule {
  return {
    module: ApiCacheModule,
    global: true,
    providers: [
      options, ApiCacheService, ApiCacheInterceptor, { provide: APP_INTERCEPTOR, useExisting: ApiCacheInterceptor }
    ],
    exports: [ApiCacheService]
  }
}

Module({})(ApiCacheModule)
Inject(HttpAdapterHost)(ApiCacheModule, undefined, 0)
Inject(ModulesContainer)(ApiCacheModule, undefined, 1)
Inject(OPTIONS)(ApiCacheModule, undefined, 2)
