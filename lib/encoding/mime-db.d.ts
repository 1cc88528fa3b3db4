declare module 'mime-db' {
  /** What is known about media types, by their names. */
  export type MimeDb = Readonly<Record<string, { readonly compressible?: boolean }>>
}
