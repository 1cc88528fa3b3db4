import type { PGlite } from '@electric-sql/pglite'
import type { FastifyInstance } from 'fastify'
import { NotFoundError } from '../errors.js'
import { answer, body, byId, dateTime, id, listOf, page, query, type ById, type Page } from '../schemas.js'

interface Text {
  title: string
  body: string
}

interface Comment {
  authorId: number
  body: string
}

const text = {
  title: { type: 'string', minLength: 1, maxLength: 200 },
  body: { type: 'string', minLength: 1, maxLength: 10_000 }
} as const
const listed = { id, title: text.title, createdAt: dateTime, authorId: id, author: { type: 'string' }, comments: { type: 'integer' } } as const
const comment = answer({ id, author: { type: 'string' }, body: text.body, createdAt: dateTime })

/** The most discussed posts first; with `search`, only posts that contain its words. */
const LIST = `
  select p.id, p.title, p.created_at as "createdAt", u.id as "authorId", u.handle as author, count(c.id)::int as comments
  from posts p join users u on u.id = p.author_id left join comments c on c.post_id = p.id
  where $3::text is null or p.words @@ websearch_to_tsquery('english', $3)
  group by p.id, u.id
  order by comments desc, p.id desc
  limit $1 offset $2`

const ONE = `
  select p.id, p.title, p.body, p.created_at as "createdAt", u.id as "authorId", u.handle as author,
    (
      select coalesce(json_agg(latest), '[]') from (
        select c.id, a.handle as author, c.body, c.created_at as "createdAt"
        from comments c join users a on a.id = c.author_id
        where c.post_id = p.id order by c.created_at desc
      ) as latest
    ) as comments
  from posts p join users u on u.id = p.author_id
  where p.id = $1`

/** Users are listed with their number of posts and their latest post. */
const invalidate = ['post-cache', 'user-cache']

export async function posts (app: FastifyInstance, { database }: { database: PGlite }): Promise<void> {
  app.get<{ Querystring: Page & { search?: string } }>('/posts', {
    config: { cache: { namespace: 'post-cache', expire: '15m' } },
    schema: {
      querystring: query({ ...page, search: { type: 'string', minLength: 1, maxLength: 100 } }),
      response: { 200: listOf(answer(listed)) }
    }
  }, async (request) => {
    const { limit, skip, search = null } = request.query
    return (await database.query(LIST, [limit, skip, search])).rows
  })

  app.get<{ Params: ById }>('/posts/:id', {
    config: { cache: { namespace: 'post-cache', expire: '1 day' } },
    schema: {
      params: byId,
      response: { 200: answer({ ...listed, body: text.body, comments: listOf(comment) }) }
    }
  }, async (request) => {
    const { rows: [found] } = await database.query(ONE, [request.params.id])
    return found ?? new NotFoundError('post')
  })

  app.post<{ Body: Text & { authorId: number } }>('/posts', {
    config: { cache: { invalidate } },
    schema: { body: body({ ...text, authorId: id }), response: { 201: answer({ id }) } }
  }, async (request, reply) => {
    const { authorId, title, body } = request.body
    const { rows: [added] } = await database.query<ById>(
      'insert into posts (author_id, title, body) values ($1, $2, $3) returning id', [authorId, title, body])
    return reply.code(201).header('location', `/posts/${added!.id}`).send(added)
  })

  app.put<{ Params: ById, Body: Text }>('/posts/:id', {
    config: { cache: { invalidate } },
    schema: { params: byId, body: body(text), response: { 200: answer({ id, ...text }) } }
  }, async (request) => {
    const { rows: [changed] } = await database.query(
      'update posts set title = $2, body = $3 where id = $1 returning id, title, body',
      [request.params.id, request.body.title, request.body.body])
    return changed ?? new NotFoundError('post')
  })

  app.delete<{ Params: ById }>('/posts/:id', {
    config: { cache: { invalidate } },
    schema: { params: byId, response: { 204: { type: 'null' } } }
  }, async (request, reply) => {
    const { affectedRows } = await database.query('delete from posts where id = $1', [request.params.id])
    if (affectedRows === 0) throw new NotFoundError('post')
    return reply.code(204).send()
  })

  app.post<{ Params: ById, Body: Comment }>('/posts/:id/comments', {
    config: { cache: { invalidate } },
    schema: { params: byId, body: body({ authorId: id, body: text.body }), response: { 201: answer({ id }) } }
  }, async (request, reply) => {
    const { rows: [added] } = await database.query(
      'insert into comments (post_id, author_id, body) values ($1, $2, $3) returning id',
      [request.params.id, request.body.authorId, request.body.body])
    return reply.code(201).send(added)
  })
}
