import 'reflect-metadata'
import { Controller, Module, type ModuleMetadata, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { ApiCacheModule, type ApiCacheModuleOptions } from '../../lib/nest/index.js'
import { see, type Seen } from '../support/serving.js'

/** A method of a controller, with its decorators. They are applied by hand: nothing here compiles them. */
export interface Method {
  readonly decorators: readonly MethodDecorator[]
  /** By position. */
  readonly params?: readonly ParameterDecorator[]
  readonly run: (...args: never[]) => unknown
}

/** A controller under a path. */
export function controller (path: string | Parameters<typeof Controller>[0], methods: Record<string, Method>, ...decorators: ClassDecorator[]): Type {
  class Cats {}
  for (const [name, { decorators, params = [], run }] of Object.entries(methods)) {
    // A function of its own: decorators write on it.
    const method = function (this: unknown, ...args: never[]): unknown { return run.apply(this, args) }
    Object.defineProperty(method, 'name', { value: name })
    Object.defineProperty(Cats.prototype, name, { value: method, configurable: true, writable: true })
    params.forEach((decorate, index) => { decorate(Cats.prototype, name, index) })
    const descriptor = Object.getOwnPropertyDescriptor(Cats.prototype, name)!
    for (const decorate of [...decorators].reverse()) decorate(Cats.prototype, name, descriptor)
  }
  for (const decorate of [...decorators].reverse()) decorate(Cats)
  Controller(path as string)(Cats)
  return Cats
}

export interface Started {
  readonly app: NestFastifyApplication
  readonly fastify: FastifyInstance
  request (path: string, init?: RequestInit): Promise<Seen>
  /** One request, and all that it leaves to do. */
  settled (path: string, init?: RequestInit): Promise<Seen>
}

export interface Starting extends Omit<ModuleMetadata, 'imports'> {
  readonly imports?: ModuleMetadata['imports']
  /** What the application does before it listens. */
  readonly prepare?: (app: NestFastifyApplication) => unknown
}

/** An application with the module, that listens until the test ends. */
export async function nest (t: Test, options: ApiCacheModuleOptions, { prepare, imports = [], ...metadata }: Starting): Promise<Started> {
  return await listening(t, { ...metadata, imports: [...imports, ApiCacheModule.forRoot(options)] }, prepare)
}

export async function listening (t: Test, metadata: ModuleMetadata, prepare?: (app: NestFastifyApplication) => unknown): Promise<Started> {
  class Application {}
  Module(metadata)(Application)
  const app = await NestFactory.create<NestFastifyApplication>(Application, new FastifyAdapter(), { logger: false, abortOnError: false })
  t.teardown(() => app.close())
  await prepare?.(app)
  await app.listen(0, '127.0.0.1')
  const origin = await app.getUrl()
  const fastify = app.getHttpAdapter().getInstance() as unknown as FastifyInstance
  const request = (path: string, init?: RequestInit): Promise<Seen> => see(origin + path, init)
  return {
    app,
    fastify,
    request,
    async settled (path, init) {
      const seen = await request(path, init)
      await fastify.apiCache.settled()
      return seen
    }
  }
}
