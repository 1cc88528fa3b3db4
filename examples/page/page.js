/* global document, ResizeObserver */
import { READS, WRITES, readCache, send } from './actions.js'
import { element } from './dom.js'
import { median, plot } from './plot.js'

const SHOWN_REQUESTS = 200
const SHOWN_CHARACTERS = 1_500
const SHOWN_HEADERS = ['content-type', 'x-api-cache', 'cache-status', 'age', 'cache-control', 'etag']

const place = (id) => document.getElementById(id)
/** Milliseconds of every read so far. */
const times = new Map(READS.map(({ url }) => [url, { MISS: [], HIT: [] }]))

function showRequest ({ method, url, status, cache, milliseconds }) {
  const kind = cache ?? (status < 400 ? 'WRITE' : 'FAILED')
  place('requests').prepend(element('li', { 'data-cache': kind },
    element('b', { class: kind.toLowerCase() }, kind),
    element('code', { title: url }, `${method} ${decodeURIComponent(url)}`),
    element('span', { class: 'status' }, String(status)),
    element('span', { class: 'time' }, `${milliseconds.toFixed(1)} ms`)))
  while (place('requests').childElementCount > SHOWN_REQUESTS) place('requests').lastElementChild.remove()
}

let imageUrl = ''

async function showAnswer ({ method, url, status, headers, content }) {
  const lines = SHOWN_HEADERS.filter((name) => headers.has(name)).map((name) => `${name}: ${headers.get(name)}`)
  const head = element('pre', {}, [`${method} ${url} → ${status}`, ...lines].join('\n'))
  URL.revokeObjectURL(imageUrl)
  if (content.type.startsWith('image/')) {
    imageUrl = URL.createObjectURL(content)
    place('answer').replaceChildren(head, element('img', { src: imageUrl, alt: `The picture at ${url}`, width: 160, height: 160 }))
    return
  }
  const text = await content.text()
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)` : text
  place('answer').replaceChildren(head, element('pre', { class: 'body scroll', tabindex: 0, 'aria-label': 'Body' }, shown))
}

function showPlot () {
  const rows = READS.map(({ url }) => ({ url: decodeURIComponent(url), miss: median(times.get(url).MISS), hit: median(times.get(url).HIT) }))
  place('plot').replaceChildren(plot(rows, place('plot').clientWidth))
}

async function showCache () {
  const { stats, keys } = await readCache()
  const { hits, misses } = stats
  const facts = {
    store: stats.available ? stats.store : `${stats.store} (unavailable)`,
    HIT: hits,
    MISS: misses,
    'hit rate': hits + misses === 0 ? '–' : `${Math.round(100 * hits / (hits + misses))} %`,
    stored: stats.stored,
    invalidated: stats.invalidations,
    swept: stats.swept
  }
  place('stats').replaceChildren(...Object.entries(facts).map(([name, value]) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, String(value)))))
  place('keys').replaceChildren(...Object.entries(keys).flatMap(([namespace, names]) => [
    element('h3', {}, namespace, element('span', { class: 'count' }, String(names.length))),
    element('ul', { 'data-empty': 'Nothing.' }, ...names.sort().map((name) => element('li', {}, element('code', {}, name))))
  ]))
}

function inShort (exchanges) {
  const count = (kind) => exchanges.filter(({ cache }) => cache === kind).length
  const [first] = exchanges
  const middle = `${median(exchanges.map(({ milliseconds }) => milliseconds)).toFixed(1)} ms`
  if (exchanges.length > 1) return `${exchanges.length} reads: ${count('HIT')} HIT, ${count('MISS')} MISS, median ${middle}.`
  return `${first.method} ${decodeURIComponent(first.url)}: ${first.cache ?? first.status}, ${middle}.`
}

/** Handles one click: sends its requests one after another, then shows what they changed. */
async function run (requests) {
  const exchanges = []
  for (const request of requests) {
    const exchange = await send(request)
    exchanges.push(exchange)
    showRequest(exchange)
    if (exchange.status === 200) times.get(exchange.url)?.[exchange.cache]?.push(exchange.milliseconds)
    if (exchanges.length % READS.length === 0) showPlot()
  }
  showPlot()
  place('outcome').textContent = inShort(exchanges)
  await Promise.all([showAnswer(exchanges.at(-1)), showCache()])
}

let queue = Promise.resolve()

function button (label, hint, requests) {
  const made = element('button', { type: 'button' }, label, element('small', { title: hint }, hint))
  made.addEventListener('click', () => {
    queue = queue.then(() => run(requests)).catch((error) => { place('outcome').textContent = `The request failed: ${error.message}` })
  })
  return made
}

place('reads').append(...READS.map((read) => button(read.label, decodeURIComponent(read.url), [read])))
place('series').append(
  button('Read all', 'each of these once', READS),
  button('Read 100 times', 'all of these in turn', Array.from({ length: 100 }, (_, index) => READS[index % READS.length]))
)
place('writes').append(...WRITES.map((write) => button(write.label, `${write.method} ${write.url}`, [write])))

new ResizeObserver(showPlot).observe(place('plot'))
await showCache()
