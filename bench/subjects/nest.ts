import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import { itemText } from '../payload.js'
import { loadPeer } from '../peers.js'
import { jsonType, type Subject } from './subject.js'

interface Application {
  listen: (port: number, host: string) => Promise<unknown>
  getHttpServer: () => Server
  close: () => Promise<void>
}

interface Common {
  Controller: (path: string) => ClassDecorator
  Get: (path: string) => MethodDecorator
  Header: (name: string, value: string) => MethodDecorator
  Param: (name: string) => ParameterDecorator
  UseInterceptors: (interceptor: unknown) => ClassDecorator
  Module: (metadata: object) => ClassDecorator
}

interface Core {
  NestFactory: { create: (module: unknown, adapter: unknown, options: object) => Promise<Application> }
}

interface CacheManager {
  CacheInterceptor: unknown
  CacheModule: { register: (options: object) => unknown }
}

type Construct = new (options?: unknown) => unknown

export const nest: Subject = {
  name: 'nest',
  title: 'NestJS CacheInterceptor, Keyv and Redis',
  group: 'peer',
  answeredBy: 'cache',
  async start ({ bodyBytes, redisUrl }, counters) {
    await loadPeer('reflect-metadata')
    const { Controller, Get, Header, Param, UseInterceptors, Module } = await loadPeer<Common>('@nestjs/common')
    const { NestFactory } = await loadPeer<Core>('@nestjs/core')
    const { FastifyAdapter } = await loadPeer<{ FastifyAdapter: Construct }>('@nestjs/platform-fastify')
    const { CacheInterceptor, CacheModule } = await loadPeer<CacheManager>('@nestjs/cache-manager')
    const { default: KeyvRedis } = await loadPeer<{ default: Construct }>('@keyv/redis')

    class Items {
      read (id: string): string {
        counters.handlerRuns++
        return itemText(Number(id), bodyBytes)
      }
    }
    class App {}

    // The peers are loaded while running, so their decorators are applied by hand.
    const method = Object.getOwnPropertyDescriptor(Items.prototype, 'read')
    if (method === undefined) throw new Error('the controller lost its method')
    Param('id')(Items.prototype, 'read', 0)
    Header('content-type', jsonType)(Items.prototype, 'read', method)
    Get(':id')(Items.prototype, 'read', method)
    UseInterceptors(CacheInterceptor)(Items)
    Controller('items')(Items)
    Module({
      imports: [CacheModule.register({ stores: [new KeyvRedis(redisUrl)], ttl: 3_600_000 })],
      controllers: [Items]
    })(App)

    const app = await NestFactory.create(App, new FastifyAdapter(), { logger: false })
    await app.listen(0, '127.0.0.1')
    const { port } = app.getHttpServer().address() as AddressInfo
    return { port, close: () => app.close() }
  }
}
