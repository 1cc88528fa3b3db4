/** The methods that a read policy is for. */
const READING = new Set(['GET', 'HEAD'])
/** Other safe methods. A method that is not known to be safe counts as writing (RFC 9111 section 4.4). */
const SAFE = new Set(['OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

export const isReading = (method: string): boolean => READING.has(method)
export const isWriting = (method: string): boolean => !READING.has(method) && !SAFE.has(method)
