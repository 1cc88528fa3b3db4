import { PGlite } from '@electric-sql/pglite'
import type { FastifyBaseLogger } from 'fastify'
import { seed } from './seed.js'

const TABLES = `
  create table images (
    id serial primary key,
    type text not null,
    body bytea not null
  );
  create table users (
    id serial primary key,
    handle text not null unique,
    image_id int not null references images,
    joined_at timestamptz not null default now()
  );
  create table posts (
    id serial primary key,
    author_id int not null references users on delete cascade,
    title text not null,
    body text not null,
    created_at timestamptz not null default now(),
    words tsvector generated always as (to_tsvector('english', title || ' ' || body)) stored
  );
  create table comments (
    id serial primary key,
    post_id int not null references posts on delete cascade,
    author_id int not null references users on delete cascade,
    body text not null,
    created_at timestamptz not null default now()
  );
`

const INDEXES = `
  create index on posts (author_id);
  create index on posts using gin (words);
  create index on comments (post_id);
  create index on comments (author_id);
  analyze;
`

/** A PostgreSQL in this process's memory, with a few thousand rows. */
export async function openDatabase (log: FastifyBaseLogger): Promise<PGlite> {
  log.info('database: starting PostgreSQL in memory')
  const database = await PGlite.create()
  await database.exec(TABLES)
  await seed(database, log)
  await database.exec(INDEXES)
  log.info('database: ready')
  return database
}
