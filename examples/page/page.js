/* global document, ResizeObserver */
import { READS, WRITES, readCache, send } from './actions.js'
import { element } from './dom.js'
import { median, plot } from './plot.js'

const SHOWN_REQUESTS = 200
const SHOWN_CHARACTERS = 1_500
/** Milliseconds between two looks at the cache in an outage. */
const OUTAGE_INTERVAL = 500
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

/** Runs while there is an outage, so that its end is shown. */
let watch

async function showCache () {
  const { stats, keys } = await readCache()
  const { hits, misses, bypasses } = stats
  const facts = {
    store: stats.available ? stats.store : `${stats.store} (unavailable)`,
    HIT: hits,
    MISS: misses,
    BYPASS: bypasses,
    'hit rate': hits + misses === 0 ? '–' : `${Math.round(100 * hits / (hits + misses))} %`,
    stored: stats.stored,
    invalidated: stats.invalidations,
    pending: stats.pending,
    swept: stats.swept
  }
  place('stats').replaceChildren(...Object.entries(facts).map(([name, value]) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, String(value)))))
  showKeys(keys)
  clearTimeout(watch)
  if (!stats.available || stats.pending > 0) watch = setTimeout(() => queued(showCache), OUTAGE_INTERVAL)
}

function showKeys (keys) {
  if (keys === undefined) {
    place('keys').replaceChildren(element('p', { class: 'faint' }, 'The store does not answer. Requests go to their handlers.'))
    return
  }
  place('keys').replaceChildren(...Object.entries(keys).flatMap(([namespace, names]) => [
    element('h3', {}, namespace, element('span', { class: 'count' }, String(names.length))),
    element('ul', { 'data-empty': 'Nothing.' }, ...names.sort().map((name) => element('li', {}, element('code', {}, name))))
  ]))
}

function inShort (exchanges) {
  const count = (kind) => exchanges.filter(({ cache }) => cache === kind).length
  const [first] = exchanges
  // Without an outage nothing is said about one.
  const kinds = ['HIT', 'MISS', ...(count('BYPASS') > 0 ? ['BYPASS'] : [])].map((kind) => `${count(kind)} ${kind}`).join(', ')
  const middle = `${median(exchanges.map(({ milliseconds }) => milliseconds)).toFixed(1)} ms`
  if (exchanges.length > 1) return `${exchanges.length} reads: ${kinds}, median ${middle}.`
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

/** Runs one thing after another. */
function queued (work) {
  queue = queue.then(work).catch((error) => { place('outcome').textContent = `The request failed: ${error.message}` })
}

function button (label, hint, requests) {
  const made = element('button', { type: 'button' }, label, element('small', { title: hint }, hint))
  made.addEventListener('click', () => queued(() => run(requests)))
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
