import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { killOnExit } from '../children.js'
import { fastifyStatic } from './fastify-static.js'
import type { Subject } from './subject.js'

export const nginxFound = spawnSync('nginx', ['-v'], { stdio: 'ignore' }).error === undefined

/** Microseconds in a clock tick of /proc: the kernel gives them in hundredths of a second. */
const TICK = 10_000

/** One process, which keeps answers in files and encodes each anew. */
const configuration = (folder: string, port: number, upstream: number): string => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  proxy_cache_path ${folder}/cache keys_zone=items:10m inactive=1h;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  gzip on;
  gzip_types application/json;
  gzip_proxied any;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_cache items;
      proxy_cache_valid 200 1h;
      # The proxy gets the plain form, once.
      proxy_set_header Accept-Encoding "";
    }
  }
}
`

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The CPU time of a process, user and system (proc(5), fields 14 and 15 of stat). */
function cpuMicrosOf (pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

async function listens (port: number): Promise<void> {
  while (!await fetch(`http://127.0.0.1:${port}/items/0`).then(({ ok }) => ok, () => false));
}

/** What a proxy costs that knows no hooks, no guards and no invalidation. Its CPU time counts, too. */
export const nginxGzip: Subject = {
  name: 'nginx-gzip',
  title: 'nginx in front of Fastify, with its cache and gzip',
  group: 'limit',
  answeredBy: 'cache',
  accepts: 'gzip',
  async start (scenario, counters) {
    const folder = mkdtempSync(join(tmpdir(), 'fastify-api-cache-nginx-'))
    const [upstream, port] = [await fastifyStatic.start(scenario, counters), await freePort()]
    const file = join(folder, 'nginx.conf')
    writeFileSync(file, configuration(folder, port, upstream.port))
    const nginx = spawn('nginx', ['-c', file, '-p', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
    const { pid } = nginx
    if (pid === undefined) throw new Error('nginx does not start')
    killOnExit(pid)
    process.on('exit', () => { rmSync(folder, { recursive: true, force: true }) })
    await listens(port)
    return { port, cpuMicros: () => cpuMicrosOf(pid), close: upstream.close }
  }
}
