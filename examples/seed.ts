import type { PGlite } from '@electric-sql/pglite'
import type { FastifyBaseLogger } from 'fastify'
import { picture } from './picture.js'

const IMAGES = 200
const USERS = 5_000
const POSTS = 20_000
const COMMENTS = 50_000

const WORDS = {
  determiner: ['a', 'the', 'every', 'another', 'no', 'some', 'this', 'that'],
  adjective: ['cold', 'warm', 'quiet', 'bright', 'early', 'late', 'distant', 'small', 'wooden', 'green', 'hidden', 'patient'],
  noun: ['harbour', 'garden', 'library', 'mountain', 'river', 'kitchen', 'station', 'orchard', 'island', 'workshop', 'lantern', 'ladder', 'kettle', 'compass', 'notebook', 'window', 'bicycle', 'engine', 'bridge', 'clock'],
  verb: ['finds', 'keeps', 'forgets', 'remembers', 'follows', 'repairs', 'paints', 'measures', 'crosses', 'opens'],
  preposition: ['near', 'under', 'behind', 'without', 'before', 'after', 'beside', 'across']
}

type Numbers = (below: number) => number

/** Whole numbers that are the same at every start (a linear congruential generator). */
function numbers (): Numbers {
  let state = 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

function sentence (next: Numbers): string {
  const word = (kind: keyof typeof WORDS): string => WORDS[kind][next(WORDS[kind].length)]!
  const words = ['determiner', 'adjective', 'noun', 'verb', 'determiner', 'noun', 'preposition', 'determiner', 'noun'] as const
  const text = words.map(word).join(' ')
  return text[0]!.toUpperCase() + text.slice(1)
}

const rows = <T>(count: number, make: (id: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index + 1))

/** Fills the tables with the same rows at every start. */
export async function seed (database: PGlite, log: FastifyBaseLogger): Promise<void> {
  const next = numbers()

  await database.query(
    "insert into images (type, body) select 'image/svg+xml', body from unnest($1::bytea[]) as body",
    [rows(IMAGES, picture)]
  )
  log.info(`database: ${IMAGES} images`)

  await database.query(
    `insert into users (handle, image_id, joined_at)
     select 'user-' || lpad(id::text, 4, '0'), image_id, timestamptz '2024-01-01Z' + id * interval '1 hour'
     from unnest($1::int[]) with ordinality as user_rows (image_id, id)`,
    [rows(USERS, () => 1 + next(IMAGES))]
  )
  log.info(`database: ${USERS} users`)

  await database.query(
    `insert into posts (author_id, title, body, created_at)
     select author_id, title, body, timestamptz '2024-08-01Z' + id * interval '20 minutes'
     from unnest($1::int[], $2::text[], $3::text[]) with ordinality as post_rows (author_id, title, body, id)`,
    [
      rows(POSTS, () => 1 + next(USERS)),
      rows(POSTS, () => sentence(next)),
      rows(POSTS, () => rows(4, () => `${sentence(next)}.`).join(' '))
    ]
  )
  log.info(`database: ${POSTS} posts`)

  await database.query(
    `insert into comments (post_id, author_id, body, created_at)
     select post_id, author_id, body, timestamptz '2025-05-10Z' + id * interval '3 minutes'
     from unnest($1::int[], $2::int[], $3::text[]) with ordinality as comment_rows (post_id, author_id, body, id)`,
    [
      rows(COMMENTS, () => 1 + next(POSTS)),
      rows(COMMENTS, () => 1 + next(USERS)),
      rows(COMMENTS, () => `${sentence(next)}.`)
    ]
  )
  log.info(`database: ${COMMENTS} comments`)
}
