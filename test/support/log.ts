import type { FastifyServerOptions } from 'fastify'

export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

/** Server options that log into a list. */
export function loggingTo (lines: LogLine[]): FastifyServerOptions {
  return { logger: { level: 'info', stream: { write (line: string) { lines.push(JSON.parse(line) as LogLine) } } } }
}

/** What the plugin itself logged as a warning or worse. */
export const complaints = (lines: LogLine[]): LogLine[] => lines.filter(({ level, msg }) => level >= 40 && msg.startsWith('api cache'))
