/** Something that a test waits for, or makes others wait for. */
export interface Gate<T = void> {
  readonly opened: Promise<T>
  open (value: T): void
}

export function gate<T = void> (): Gate<T> {
  let open!: (value: T) => void
  const opened = new Promise<T>((resolve) => { open = resolve })
  return { opened, open }
}
