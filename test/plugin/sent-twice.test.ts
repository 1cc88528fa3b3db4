import type { FastifyReply } from 'fastify'
import t from 'tap'
import { errorHandlers, whole, writing, type Handler, type Send } from './writing.js'

/** Handlers that send, and then send, return or throw something else. */
const handlers: Record<string, Handler> = {
  'sends twice': (_request, reply) => { reply.send({ id: 1 }); reply.send({ id: 2 }) },
  'sends and returns something else': async (_request, reply) => { reply.send({ id: 1 }); return { id: 2 } },
  'sends and throws': async (_request, reply) => { reply.send({ id: 1 }); throw new Error('late') }
}

for (const [how, handler] of Object.entries(handlers)) {
  for (const [whose, { prepare }] of Object.entries(errorHandlers)) {
    t.test(`a handler that ${how} is answered by ${whose} error handler as without the plugin`, async (t) => {
      const [with_, without] = [await writing(t, true, handler, prepare), await writing(t, false, handler, prepare)]
      t.same(whole(await with_.post()), whole(await without.post()))
      t.same(with_.logged(), without.logged())
      t.same(with_.told[0], { id: 1 })
    })
  }
}

/** Ways to send. */
const ways: Record<string, Send> = {
  'sends it': (_request, reply, payload) => { reply.send(payload) },
  'puts a send of its own there': (_request, reply, payload) => {
    const { send } = reply
    reply.send = function (this: FastifyReply, sent?: unknown) { return send.call(this, sent) }
    reply.send(payload)
  }
}

for (const [how, send] of Object.entries(ways)) {
  t.test(`the function gets the first of two payloads if a handler ${how} twice`, async (t) => {
    const { post, told } = await writing(t, true, (request, reply) => {
      for (const id of [1, 2]) send(request, reply, { id })
    }, (app) => app.addHook('onSend', async () => { await new Promise(setImmediate) }))
    t.equal((await post()).text, '{"id":1}')
    t.same(told[0], { id: 1 })
  })
}
