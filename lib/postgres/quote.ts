/** Text as parts of SQL, with the quotes of PostgreSQL doubled. */

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** `E''` has the same meaning whatever `standard_conforming_strings` is. */
export const literal = (text: string): string =>
  `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

export const textArray = (texts: readonly string[]): string => `ARRAY[${texts.map(literal).join(', ')}]::text[]`
