const { stderr } = process

/** On a terminal each line overwrites the one before. */
export function progress (text: string): void {
  stderr.write(stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`)
}

export function lastingLine (text: string): void {
  stderr.write(stderr.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
}
