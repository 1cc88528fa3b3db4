import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { FastifyReply } from 'fastify'
import type { Test } from 'tap'
import type { ApiCacheOptions, WritePolicy } from '../../index.js'
import { eachTier } from '../support/each-store.js'
import { gate, type Gate } from '../support/gate.js'
import { serving, type Serving } from '../support/serving.js'

const each = eachTier()
// It has no types of its own.
const { Response: OtherResponse } = require('node-fetch') as { Response: typeof Response }

/** How far each import has come. */
interface Import {
  readonly rows: string[]
  /** Awaited before the last rows are written. */
  readonly goOn: Gate
  /** Opened when the source has ended, whatever came of it. */
  readonly over: Gate
  /** Opened when the response is closed, or by the test. */
  readonly closed: Gate
}

/** Writes rows and tells about each: two, and the others when it may go on. */
async function * importing ({ rows, goOn, over }: Import): AsyncGenerator<string> {
  try {
    for (const row of ['a', 'b', 'c', 'd', 'e']) {
      if (row === 'c') await goOn.opened
      rows.push(row)
      yield row
    }
  } finally {
    // As what is under way when the client disconnects.
    if (rows.length < 5) rows.push('late')
    over.open()
  }
}

/** The same, and the last row is written behind its last word. */
async function * importingMore (one: Import): AsyncGenerator<string> {
  yield * importing(one)
  one.rows.push('f')
}

const web = (source: AsyncGenerator<string>): ReadableStream => new ReadableStream({
  async pull (controller) {
    const { done, value } = await source.next()
    if (done === true) controller.close()
    else controller.enqueue(Buffer.from(value))
  },
  async cancel () { await source.return(undefined) }
})

type Send = (source: AsyncGenerator<string>, reply: FastifyReply) => unknown

const ways: Record<string, Send> = {
  'a Node stream': async (source) => Readable.from(source),
  'a Node stream that it sends': (source, reply) => { reply.send(Readable.from(source)) },
  'a Node stream, sends it and returns the reply': async (source, reply) => reply.send(Readable.from(source)),
  'a web stream': async (source) => web(source),
  'a Response': async (source) => new Response(web(source) as never, { status: 201, headers: { 'x-own': 'own' } }),
  'a Response of node-fetch': async (source) => new OtherResponse(Readable.from(source) as never, { status: 201, headers: { 'x-own': 'own' } })
}

const policies: Record<string, Partial<WritePolicy>> = {
  'a write': {}, "a write with invalidateOn: 'settled'": { invalidateOn: 'settled' }, 'a strict write': { strict: true }
}

interface Importing extends Serving {
  readonly latest: () => Import
}

async function application (t: Test, options: ApiCacheOptions, policy: Partial<WritePolicy>, send: Send, source = importing): Promise<Importing> {
  let rows: string[] = []
  let latest: Import
  const served = await serving(t, options, (app) => {
    app.get('/rows', { config: { cache: { namespace: 'rows', expire: '1 hour' } } }, async () => rows.join(''))
    app.post('/rows', { config: { cache: { invalidate: 'rows', ...policy } } }, (_request, reply) => {
      rows = []
      latest = { rows, goOn: gate(), over: gate(), closed: gate() }
      reply.raw.once('close', latest.closed.open)
      return send(source(latest), reply) as never
    })
  })
  return { ...served, latest: () => latest }
}

/** The response of a write that has come as far as two rows. */
async function begun ({ origin }: Serving): Promise<{ response: Response, rest: () => Promise<string> }> {
  const response = await fetch(`${origin}/rows`, { method: 'POST' })
  const reader = response.body!.getReader()
  let text = ''
  while (text.length < 2) text += Buffer.from((await reader.read()).value!).toString()
  return {
    response,
    async rest () {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return text
        text += Buffer.from(value).toString()
      }
    }
  }
}

for (const [what, policy] of Object.entries(policies)) {
  each(`${what} that streams its answer has written when the body has ended`, async (t, options) => {
    for (const [how, send] of Object.entries(ways)) {
      for (const [source, all] of [[importing, 'abcde'], [importingMore, 'abcdef']] as const) {
        const served = await application(t, options, policy, send, source)
        const { response, rest } = await begun(served)
        t.match(response.status, how.includes('Response') ? 201 : 200)
        t.equal(response.headers.get('x-own'), how.includes('Response') ? 'own' : null)
        // What is read meanwhile is not the whole.
        for (let round = 0; round < 2; round++) {
          t.equal((await served.request('/rows')).text, 'ab', how)
          await served.app.apiCache.settled()
        }
        if (policy.strict === true) t.equal((await served.request('/rows')).cache, 'MISS', 'held while the body is sent')
        served.latest().goOn.open()
        t.equal(await rest(), 'abcde')
        t.equal((await served.request('/rows')).text, all, `${how}, as the end arrives`)
        await served.app.apiCache.settled()
        await (await served.app.apiCache.invalidate('rows')).swept
        await served.app.close()
      }
    }
  })

  each(`${what} whose client disconnects has written when the stream has closed`, async (t, options) => {
    for (const [how, send] of Object.entries(ways)) {
      const served = await application(t, options, policy, send)
      const { port } = served.app.server.address() as AddressInfo
      const socket = connect(port, '127.0.0.1')
      socket.write('POST /rows HTTP/1.1\r\nhost: any\r\ncontent-length: 0\r\n\r\n')
      let text = ''
      while (!/\r\n\r\n[^]*a[^]*b/.test(text)) text += String((await once(socket, 'data'))[0])
      for (let round = 0; round < 2; round++) {
        t.equal((await served.request('/rows')).text, 'ab', how)
        await served.app.apiCache.settled()
      }
      socket.destroy()
      await served.latest().closed.opened
      await new Promise(setImmediate)
      await served.request('/rows')
      await served.app.apiCache.settled()
      served.latest().goOn.open()
      await served.latest().over.opened
      const { rows } = served.latest()
      for (;;) {
        const seen = await served.request('/rows')
        if (seen.text === rows.join('')) break
        t.equal(seen.text, 'ab', how)
      }
      await served.app.apiCache.settled()
      t.equal((await served.request('/rows')).text, rows.join(''))
      await (await served.app.apiCache.invalidate('rows')).swept
      await served.app.close()
    }
  })
}

each('a write whose stream fails has written when the stream has closed', async (t, options) => {
  async function * failing ({ rows, goOn, over }: Import): AsyncGenerator<string> {
    yield * ['a', 'b'].map((row) => { rows.push(row); return row })
    await goOn.opened
    rows.push('c')
    over.open()
    throw new Error('out of rows')
  }
  for (const policy of Object.values(policies)) {
    for (const [how, send] of Object.entries(ways)) {
      const served = await application(t, options, policy, send, failing)
      const { rest } = await begun(served)
      t.equal((await served.request('/rows')).text, 'ab', how)
      await served.app.apiCache.settled()
      served.latest().goOn.open()
      await t.rejects(rest())
      t.equal((await served.request('/rows')).text, 'abc', how)
      await served.app.apiCache.settled()
      await (await served.app.apiCache.invalidate('rows')).swept
      await served.app.close()
    }
  }
})

/** Nothing more comes, but it does not end either. */
async function * lingering (one: Import): AsyncGenerator<string> {
  yield * importing(one)
  await one.closed.opened
}

each('with a Content-Length the versions are bumped before the last byte, which the client knows as the end', async (t, options) => {
  for (const [how, send] of Object.entries(ways)) {
    const served = await application(t, options, {}, (source, reply) => send(source, reply.header('content-length', '5')), lingering)
    const { rest } = await begun(served)
    t.equal((await served.request('/rows')).text, 'ab')
    await served.app.apiCache.settled()
    served.latest().goOn.open()
    t.equal(await rest(), 'abcde', how)
    t.equal((await served.request('/rows')).text, 'abcde', how)
    served.latest().closed.open()
    await served.app.apiCache.settled()
    await (await served.app.apiCache.invalidate('rows')).swept
    await served.app.close()
  }
})
