/** Whether a payload is a whole body, not a stream. */
export const isWhole = (payload: unknown): payload is string | Uint8Array =>
  typeof payload === 'string' || ArrayBuffer.isView(payload)

/** The bytes of a whole body; not a copy of bytes. */
export function bytesOf (payload: string | Uint8Array): Buffer {
  return typeof payload === 'string'
    ? Buffer.from(payload)
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}
