import WebSocket from 'ws'

/** What a client of a WebSocket gets until its first message, and with which code it is closed. */
export const socketSays = async (url: string): Promise<unknown[]> => await new Promise((resolve) => {
  const got: unknown[] = []
  const socket = new WebSocket(url.replace('http', 'ws'))
  socket.on('message', (message: Buffer) => { got.push(message.toString()); socket.close() })
  socket.on('error', (error) => got.push(error.message))
  socket.on('close', (code) => { resolve([...got, code]) })
})
