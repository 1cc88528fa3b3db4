import { startRedis } from '../support/redis-server.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import type { Fault } from './outage.js'
import { alsoOverNodeRedis } from './over-node-redis.js'
import { owned, users, type Connecting } from './server-faults.js'

/** A fault of the wire to a server. */
function wireFault (name: string, begin: (proxy: TcpProxy) => void, connecting: Connecting = owned, answersIn = 0): Fault {
  return {
    name: name + connecting.how,
    async stage () {
      const server = await startRedis()
      const proxy = await startProxy(server.port)
      const closers: Array<(() => void) | undefined> = []
      return {
        answersIn,
        redis () {
          const { redis, close } = connecting.to(proxy.port)
          closers.push(close)
          return redis
        },
        break () { begin(proxy) },
        mend () { proxy.mend() },
        async stop () {
          for (const close of closers) close?.()
          await proxy.stop()
          await server.stop()
        }
      }
    }
  }
}

export const networkFaults: Fault[] = [
  ...alsoOverNodeRedis([
    wireFault('slow: every reply 100 ms late', (proxy) => { proxy.slow(100) }, owned, 100),
    wireFault('slow: every reply 240 ms late', (proxy) => { proxy.slow(240) }, owned, 240),
    wireFault('slow: every reply 1,000 ms late', (proxy) => { proxy.slow(1_000) }),
    wireFault('connections cut in the middle of a reply', (proxy) => { proxy.cutAfter(7_001) }),
    wireFault('half-open connections', (proxy) => { proxy.halfOpen() })
  ]),
  wireFault('slow: every reply 1,000 ms late', (proxy) => { proxy.slow(1_000) }, users),
  wireFault('connections cut in the middle of a reply', (proxy) => { proxy.cutAfter(7_001) }, users),
  wireFault('half-open connections', (proxy) => { proxy.halfOpen() }, users)
]
