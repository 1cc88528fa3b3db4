import { InvalidFieldError } from '../errors.js'
import { checkFields, describe, isObject, isText, requireFields, type Field, type Fields } from '../policy/fields.js'
import { namesOf } from '../policy/names.js'
import { identifier, literal, textArray } from './quote.js'

/** A table whose changes invalidate. */
export interface WatchedTable {
  readonly table: string
  /** The schema of the table; default `'public'`. */
  readonly schema?: string
  /** Namespaces that every statement invalidates that changes rows of this table. */
  readonly namespaces?: string | readonly string[]
  /** Tags of the rows that a statement changes. */
  readonly rows?: RowTags
}

export interface RowTags {
  /** The column whose value follows the beginning of a tag: `{ 'user:': 'id' }` invalidates `user:42`. */
  readonly tags: Readonly<Record<string, string>>
  /**
   * Namespaces to invalidate instead of tags if a statement has more than 1,000 of them, and on
   * TRUNCATE, which does not say what the rows were.
   */
  readonly otherwise: string | readonly string[]
}

export interface OutboxOptions {
  /** The tables to watch. */
  readonly tables: readonly WatchedTable[]
  /** The schema of the outbox and the channel that wakes its readers; default `'api_cache'`. */
  readonly outbox?: string
}

/** Most tags that one statement writes. */
const MANY_TAGS = 1_000

/** PostgreSQL shortens a longer identifier, so that two could become one. */
const MAX_IDENTIFIER_BYTES = 63

const IDENTIFIER: Field = {
  accepts: (value) => isText(value) && Buffer.byteLength(value) <= MAX_IDENTIFIER_BYTES,
  expects: `a name of at most ${MAX_IDENTIFIER_BYTES} bytes`
}

/** A name to which a suffix is added for each trigger. */
export const OUTBOX: Field = {
  accepts: (value) => isText(value) && Buffer.byteLength(value) <= 50,
  expects: 'the name of a schema, at most 50 bytes'
}

const OPTIONS: Fields<OutboxOptions> = {
  tables: { accepts: (value) => Array.isArray(value) && value.every(isObject), expects: 'a list of tables' },
  outbox: OUTBOX
}

const ANY: Field = { accepts: () => true, expects: 'a value' }

const TABLE: Fields<WatchedTable> = {
  table: IDENTIFIER,
  schema: IDENTIFIER,
  namespaces: ANY,
  rows: { accepts: isObject, expects: '{ tags, otherwise }' }
}

const ROWS: Fields<RowTags> = {
  tags: {
    accepts: (value) => isObject(value) && Object.keys(value).length > 0 &&
      Object.entries(value).every(([beginning, column]) => /[^*]/.test(beginning) && IDENTIFIER.accepts(column)),
    expects: "the column of each tag, such as { 'user:': 'id' }"
  },
  otherwise: {
    accepts: (value) => !Array.isArray(value) || value.length > 0,
    expects: 'a namespace or a list of them'
  }
}

/**
 * The SQL of a transactional outbox: a schema with one table, and triggers that write into it what a
 * statement makes stale, within the statement's own transaction. It can be run again, for example to
 * watch another table; `DROP SCHEMA … CASCADE` removes all of it.
 * @throws UnknownFieldError, InvalidFieldError, MissingFieldError, InvalidNameError
 */
export function outboxSql (options: OutboxOptions): string {
  checkFields('outboxSql', options, OPTIONS)
  requireFields('outboxSql', options, ['tables'])
  const { tables, outbox = DEFAULT_OUTBOX } = options
  return [outboxTable(outbox), ...tables.map((table) => triggers(outbox, table))].join('\n')
}

export const DEFAULT_OUTBOX = 'api_cache'

// A row that no reader can deliver would be in the way of others, so the table refuses it.
const outboxTable = (outbox: string): string => `
CREATE SCHEMA IF NOT EXISTS ${identifier(outbox)};
CREATE TABLE IF NOT EXISTS ${identifier(outbox)}.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  namespaces text[] NOT NULL DEFAULT '{}',
  tags text[] NOT NULL DEFAULT '{}',
  claimed_until timestamptz,
  CHECK (array_position(namespaces || tags, NULL) IS NULL AND NOT (namespaces || tags) && ARRAY['', '*']),
  CHECK (cardinality(tags) <= ${MANY_TAGS})
);`

function triggers (outbox: string, watched: WatchedTable): string {
  checkFields('outboxSql: tables', watched, TABLE)
  requireFields('outboxSql: tables', watched, ['table', watched.rows === undefined ? 'namespaces' : 'rows'])
  const { table, schema = 'public', namespaces = [], rows } = watched
  if (rows !== undefined) {
    checkFields('outboxSql: rows', rows, ROWS)
    requireFields('outboxSql: rows', rows, ['tags', 'otherwise'])
  }
  const name = `${schema}.${table}`
  if (!IDENTIFIER.accepts(name)) {
    throw new InvalidFieldError('outboxSql', 'table', `${IDENTIFIER.expects} together with its schema`, describe(name))
  }
  const always = namesOf('outboxSql: namespaces', namespaces)
  const otherwise = rows === undefined ? [] : namesOf('outboxSql: otherwise', rows.otherwise)
  const writes = `${identifier(outbox)}.${identifier(name)}`
  // A trigger with transition tables is for one kind of statement.
  const trigger = (event: string, transition = ''): string => `
CREATE OR REPLACE TRIGGER ${identifier(`${outbox}_${event.toLowerCase()}`)}
  AFTER ${event} ON ${identifier(schema)}.${identifier(table)} ${transition}
  FOR EACH STATEMENT EXECUTE FUNCTION ${writes}();`
  return [
    writer(outbox, writes, rowTags(rows), { always, otherwise }),
    trigger('INSERT', 'REFERENCING NEW TABLE AS changed'),
    trigger('UPDATE', 'REFERENCING OLD TABLE AS changed NEW TABLE AS became'),
    trigger('DELETE', 'REFERENCING OLD TABLE AS changed'),
    trigger('TRUNCATE')
  ].join('')
}

type TagsIn = (transitionTable: string) => string

/** A query for the tags of the rows in a transition table. */
function rowTags (rows: RowTags | undefined): TagsIn | undefined {
  if (rows === undefined) return undefined
  const columns = Object.entries(rows.tags)
  return (from) => columns.map(([beginning, column]) =>
    `SELECT ${literal(beginning)} || ${from}.${identifier(column)}::text AS tag FROM ${from}`).join(' UNION ')
}

interface Stale {
  readonly always: readonly string[]
  readonly otherwise: readonly string[]
}

/**
 * The function behind the triggers of one table. It runs as its owner, so that whoever may write to
 * the table needs no right to write to the outbox.
 */
function writer (outbox: string, name: string, tagsIn: TagsIn | undefined, { always, otherwise }: Stale): string {
  const body = `
DECLARE
  stale_namespaces text[] := ${textArray(always)};
  stale_tags text[] := '{}';
BEGIN
  IF TG_OP <> 'TRUNCATE' THEN
    PERFORM FROM changed LIMIT 1;
    IF NOT FOUND THEN RETURN NULL; END IF;${tagsIn === undefined ? '' : collect(tagsIn)}
  END IF;
  IF TG_OP = 'TRUNCATE' OR cardinality(stale_tags) > ${MANY_TAGS} THEN
    stale_namespaces := stale_namespaces || ${textArray(otherwise)};
    stale_tags := '{}';
  END IF;
  INSERT INTO ${identifier(outbox)}.outbox (namespaces, tags) VALUES (stale_namespaces, stale_tags);
  PERFORM pg_notify(${literal(outbox)}, '');
  RETURN NULL;
END`
  // Names are part of the body, so no dollar quotes would be safe.
  return `
CREATE OR REPLACE FUNCTION ${name}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS ${literal(body)};`
}

/** Both what rows were and what they became: a row that moves to another author is stale for both. */
function collect (tagsIn: TagsIn): string {
  const distinct = (query: string): string =>
    `ARRAY(SELECT tag FROM (${query}) AS tagged WHERE tag IS NOT NULL LIMIT ${MANY_TAGS + 1})`
  return `
    IF TG_OP = 'UPDATE' THEN
      stale_tags := ${distinct(`${tagsIn('changed')} UNION ${tagsIn('became')}`)};
    ELSE
      stale_tags := ${distinct(`SELECT DISTINCT tag FROM (${tagsIn('changed')}) AS all_tags`)};
    END IF;`
}
