import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './packed.js'

/** The rules that docs/redis.md grants to a Redis user: for a single server, and for a Cluster. */
export function documentedRights (): { server: string[], cluster: string[] } {
  const page = readFileSync(join(root, 'docs/redis.md'), 'utf8')
  const [server, cluster] = [...page.matchAll(/^ACL SETUSER app on >secret\n([^`]+)/gm)]
    .map(([, rules]) => rules!.trim().split(/\s+/))
  return { server: server!, cluster: cluster! }
}
