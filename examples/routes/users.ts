import type { PGlite } from '@electric-sql/pglite'
import type { FastifyInstance } from 'fastify'
import { ONE_DAY_IN_SECONDS, oneDay } from '../../index.js'
import { NotFoundError } from '../errors.js'
import { answer, body, byId, dateTime, id, listOf, page, query, type ById, type Page } from '../schemas.js'

interface NewUser {
  handle: string
  imageId: number
}

const handle = { type: 'string', minLength: 1, maxLength: 40 } as const
const post = answer({ id, title: { type: 'string' }, createdAt: dateTime })
const user = { id, handle, imageId: id, joinedAt: dateTime, posts: { type: 'integer' } } as const

const LIST = `
  select u.id, u.handle, u.image_id as "imageId", u.joined_at as "joinedAt", count(p.id)::int as posts,
    (array_agg(p.title order by p.created_at desc) filter (where p.id is not null))[1] as "latestPost"
  from users u left join posts p on p.author_id = u.id
  group by u.id
  order by u.id desc
  limit $1 offset $2`

const ONE = `
  select u.id, u.handle, u.image_id as "imageId", u.joined_at as "joinedAt",
    (select count(*)::int from posts where author_id = u.id) as posts,
    (select count(*)::int from comments where author_id = u.id) as comments,
    (
      select coalesce(json_agg(latest), '[]') from (
        select id, title, created_at as "createdAt" from posts where author_id = u.id order by created_at desc limit 10
      ) as latest
    ) as "latestPosts"
  from users u
  where u.id = $1`

/** Posts show their authors' handles, so a change to a user invalidates both namespaces. */
const invalidate = ['user-cache', 'post-cache']

export async function users (app: FastifyInstance, { database }: { database: PGlite }): Promise<void> {
  app.get<{ Querystring: Page }>('/users', {
    config: { cache: { namespace: 'user-cache', expire: ONE_DAY_IN_SECONDS } },
    schema: {
      querystring: query(page),
      response: { 200: listOf(answer({ ...user, latestPost: { type: 'string', nullable: true } })) }
    }
  }, async (request) => {
    return (await database.query(LIST, [request.query.limit, request.query.skip])).rows
  })

  app.get<{ Params: ById }>('/users/:id', {
    config: { cache: oneDay({ namespace: 'user-cache' }) },
    schema: {
      params: byId,
      response: { 200: answer({ ...user, comments: { type: 'integer' }, latestPosts: listOf(post) }) }
    }
  }, async (request) => {
    const { rows: [found] } = await database.query(ONE, [request.params.id])
    return found ?? new NotFoundError('user')
  })

  app.post<{ Body: NewUser }>('/users', {
    config: { cache: { invalidate } },
    schema: { body: body({ handle, imageId: id }), response: { 201: answer({ id }) } }
  }, async (request, reply) => {
    const { rows: [added] } = await database.query<ById>(
      'insert into users (handle, image_id) values ($1, $2) returning id', [request.body.handle, request.body.imageId])
    return reply.code(201).header('location', `/users/${added!.id}`).send(added)
  })

  app.patch<{ Params: ById, Body: Pick<NewUser, 'handle'> }>('/users/:id', {
    config: { cache: { invalidate } },
    schema: { params: byId, body: body({ handle }), response: { 200: answer({ id, handle }) } }
  }, async (request) => {
    const { rows: [renamed] } = await database.query(
      'update users set handle = $2 where id = $1 returning id, handle', [request.params.id, request.body.handle])
    return renamed ?? new NotFoundError('user')
  })

  app.delete<{ Params: ById }>('/users/:id', {
    config: { cache: { invalidate } },
    schema: { params: byId, response: { 204: { type: 'null' } } }
  }, async (request, reply) => {
    const { affectedRows } = await database.query('delete from users where id = $1', [request.params.id])
    if (affectedRows === 0) throw new NotFoundError('user')
    return reply.code(204).send()
  })
}
