import { chromium, type Browser, type Locator } from 'playwright-core'
import t, { type Test } from 'tap'
import { chromiumPath } from '../support/programs.js'
import { startRedis } from '../support/redis-server.js'
import { startExample } from './example.js'

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'
]
const USERS_KEY = 'api-cache|user-cache:GET /users?limit=100&skip=0'

async function launch (t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: FLAGS })
  t.teardown(() => browser.close())
  return browser
}

t.test('the page shows what the cache does', async (t) => {
  const example = await startExample()
  t.teardown(() => example.stop())
  const browser = await launch(t)
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  const complaints: string[] = []
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()) })
  page.on('pageerror', (error) => { complaints.push(error.message) })
  const foreign: string[] = []
  page.on('request', (request) => { if (!/^(data:|blob:)/.test(request.url()) && !request.url().startsWith(example.url)) foreign.push(request.url()) })

  const requests = page.getByRole('list', { name: 'Requests' }).getByRole('listitem')
  const keys = page.getByRole('region', { name: 'Keys in the cache' })
  const plot = page.getByRole('region', { name: 'Speed-up' })
  const answer = page.getByRole('region', { name: 'Last response' })

  async function press (name: string, wanted: number): Promise<void> {
    await page.getByRole('button', { name: new RegExp(`^${name} `) }).click()
    await requests.nth(wanted - 1).waitFor()
  }
  const newest = async (): Promise<string> => await requests.first().innerText()
  const shown = async (locator: Locator): Promise<void> => { await locator.waitFor({ timeout: 10_000 }) }

  await page.goto(example.url)
  await shown(keys.getByText('image-cache'))
  t.equal(await requests.count(), 0)

  await t.test('reading something twice is a MISS, then a HIT', async (t) => {
    await press('Users', 1)
    t.match(await newest(), /MISS\s+GET \/users\?limit=100&skip=0\s+200\s+\d+\.\d ms/)
    await press('Users', 2)
    t.match(await newest(), /HIT\s+GET \/users\?limit=100&skip=0\s+200\s+\d+\.\d ms/)
    await shown(answer.getByText('x-api-cache: HIT'))
  })

  await t.test('its key is listed among the keys in the cache', async () => {
    await shown(keys.getByText(USERS_KEY))
  })

  await t.test('the plot shows how much faster the HIT was', async (t) => {
    const [, miss, hit, factor] = /skip=0: MISS ([\d.]+) ms, HIT ([\d.]+) ms ([\d.]+)×/.exec(
      await plot.getByRole('img').getAttribute('aria-label') ?? '') ?? []
    t.ok(Math.abs(Number(factor) - Number(miss) / Number(hit)) <= 0.1 * Number(factor), `${factor} is about ${miss} / ${hit}`)
    await shown(plot.getByText(`${factor}×`, { exact: true }))
  })

  await t.test('a write removes the key, and the next read is a MISS', async (t) => {
    await press('Rename user', 3)
    t.match(await newest(), /WRITE\s+PATCH \/users\/42\s+200/)
    await keys.getByText(USERS_KEY).waitFor({ state: 'detached' })
    await press('Users', 4)
    t.match(await newest(), /MISS\s+GET \/users/)
  })

  await t.test('everything can be read with one click', async (t) => {
    await press('Read all', 10)
    await shown(page.getByRole('status').getByText('6 reads: 1 HIT, 5 MISS'))
    t.match(await newest(), /MISS\s+GET \/images\/7/)
    await shown(answer.getByRole('img', { name: '/images/7' }))
  })

  await t.test('100 reads are 100 requests that are all HITs', async (t) => {
    await press('Read 100 times', 110)
    await shown(page.getByRole('status').getByText('100 reads: 100 HIT, 0 MISS'))
    const factors = /(×.*){6}/.test(await plot.getByRole('img').getAttribute('aria-label') ?? '')
    t.ok(factors, 'a factor for each of the six')
  })

  await t.test('it fits a narrow screen, and has a dark mode', async (t) => {
    for (const [width, colorScheme] of [[400, 'dark'], [1280, 'light']] as const) {
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme })
      await page.waitForFunction('document.querySelector("#plot svg").clientWidth === document.querySelector("#plot").clientWidth')
      // As a plot is that was drawn for a wider window, until it is drawn anew.
      await page.evaluate('document.querySelector("#plot svg").setAttribute("width", 3000)')
      const scrollWidth = await page.evaluate('document.documentElement.scrollWidth')
      const ground = await page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
      t.equal(scrollWidth, width)
      t.equal(Number(/\d+/.exec(ground)) < 128, colorScheme === 'dark')
    }
  })

  t.same(complaints, [])
  t.same(foreign, [])
})

t.test('the page shows an outage of Redis as what it is, and its end without another click', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const example = await startExample({ env: { REDIS_URL: redis.url } })
  t.teardown(() => example.stop())
  const page = await (await launch(t)).newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => { errors.push(error.message) })
  const requests = page.getByRole('list', { name: 'Requests' }).getByRole('listitem')
  const keys = page.getByRole('region', { name: 'Keys in the cache' })
  const outcome = page.getByRole('status')
  const stats = page.locator('#stats')
  const press = async (name: string, said: RegExp): Promise<void> => {
    await page.getByRole('button', { name: new RegExp(`^${name} `) }).click()
    await outcome.getByText(said).waitFor()
  }
  const shows = async (text: RegExp): Promise<void> => { await stats.filter({ hasText: text }).waitFor() }

  await page.goto(example.url)
  await shows(/redis\s*HIT/)
  await press('Users', /GET \/users\S+: MISS/)
  await press('Users', /GET \/users\S+: HIT/)

  await redis.kill()
  await press('Users', /GET \/users\S+: BYPASS/)
  t.match(await requests.first().innerText(), /BYPASS\s+GET \/users\?limit=100&skip=0\s+200/)
  await shows(/redis \(unavailable\)/)
  await keys.getByText('The store does not answer. Requests go to their handlers.').waitFor()
  await press('Rename user', /PATCH \/users\/42: 200/)
  t.match(await requests.first().innerText(), /WRITE\s+PATCH \/users\/42\s+200/)
  await shows(/pending\s*2/)
  await press('Read all', /6 reads: 0 HIT, 0 MISS, 6 BYPASS/)

  await redis.restart()
  await shows(/redis\s*HIT/)
  await shows(/pending\s*0/)
  await keys.getByText('image-cache').waitFor()
  await press('Users', /GET \/users\S+: MISS/)
  await press('Users', /GET \/users\S+: HIT/)
  t.same(errors, [])
})
