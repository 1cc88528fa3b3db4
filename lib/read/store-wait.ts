import type { FastifyRequest } from 'fastify'
import { kStoreWait } from '../fastify/state.js'
import type { StoreWait } from '../store/guarded-store.js'

/** What all operations of a request after its first lookup share: together they wait as long as one may. */
export function storeWaitOf (request: FastifyRequest): StoreWait {
  request[kStoreWait] ??= { milliseconds: 0 }
  return request[kStoreWait]
}
