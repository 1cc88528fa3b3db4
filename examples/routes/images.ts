import type { PGlite } from '@electric-sql/pglite'
import type { FastifyInstance } from 'fastify'
import { oneWeek } from '../../index.js'
import { NotFoundError } from '../errors.js'
import { picture } from '../picture.js'
import { answer, body, byId, id, type ById } from '../schemas.js'

interface Image {
  type: string
  body: Uint8Array
}

const pattern = { type: 'integer', minimum: 1, maximum: 1_000_000 } as const

export async function images (app: FastifyInstance, { database }: { database: PGlite }): Promise<void> {
  app.get<{ Params: ById }>('/images/:id', {
    config: { cache: oneWeek({ namespace: 'image-cache' }) },
    schema: { params: byId }
  }, async (request, reply) => {
    const { rows: [image] } = await database.query<Image>('select type, body from images where id = $1', [request.params.id])
    if (image === undefined) throw new NotFoundError('image')
    return reply.type(image.type).send(image.body)
  })

  app.put<{ Params: ById, Body: { pattern: number } }>('/images/:id', {
    config: { cache: { invalidate: 'image-cache' } },
    schema: { params: byId, body: body({ pattern }), response: { 200: answer({ id, bytes: { type: 'integer' } }) } }
  }, async (request) => {
    const { rows: [drawn] } = await database.query(
      'update images set body = $2 where id = $1 returning id, length(body) as bytes', [request.params.id, picture(request.body.pattern)])
    return drawn ?? new NotFoundError('image')
  })
}
