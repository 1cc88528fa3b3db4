/* global location, PerformanceObserver */

/** The requests that the page can send. */

export const READS = [
  { label: 'Users', url: '/users?limit=100&skip=0' },
  { label: 'One user', url: '/users/42' },
  { label: 'Posts', url: '/posts' },
  { label: 'Search posts', url: '/posts?search=lantern%20harbour' },
  { label: 'One post', url: '/posts/7' },
  { label: 'Image', url: '/images/7' }
]

const some = () => Date.now().toString(36)

export const WRITES = [
  { label: 'Add user', method: 'POST', url: '/users', body: () => ({ handle: `user-${some()}`, imageId: 7 }) },
  { label: 'Rename user', method: 'PATCH', url: '/users/42', body: () => ({ handle: `user-0042-${some()}` }) },
  { label: 'Add post', method: 'POST', url: '/posts', body: () => ({ authorId: 42, title: `Post ${some()}`, body: 'Every lantern finds the harbour.' }) },
  { label: 'Add comment', method: 'POST', url: '/posts/7/comments', body: () => ({ authorId: 42, body: 'This bridge remembers another clock.' }) },
  { label: 'Rename missing user', method: 'PATCH', url: '/users/999999', body: () => ({ handle: 'nobody' }) },
  { label: 'Redraw image', method: 'PUT', url: '/images/7', body: () => ({ pattern: 1 + Math.floor(Math.random() * 1_000_000) }) }
]

/**
 * Milliseconds from the next request for this URL to the last byte of its response, measured by the
 * browser's network stack: a clock in this page would also count the time to draw the page.
 */
function timeOf (url) {
  const { href } = new URL(url, location)
  return new Promise((resolve) => {
    new PerformanceObserver((list, observer) => {
      const [entry] = list.getEntriesByName(href)
      if (entry === undefined) return
      observer.disconnect()
      resolve(entry.responseEnd - entry.requestStart)
    }).observe({ type: 'resource' })
  })
}

/** HIT, MISS or BYPASS: the header of the plugin calls a request past the cache a MISS, too. */
function kindOf (headers) {
  const isBypass = headers.get('cache-status')?.includes('fwd=bypass')
  return isBypass ? 'BYPASS' : headers.get('x-api-cache')
}

export async function send ({ method = 'GET', url, body }) {
  const headers = {
    // `no-store` bypasses the browser's own cache, so that every request reaches the server. It
    // would also send `Cache-Control: no-cache`, which bypasses the server's cache; this header
    // accepts a stored response instead.
    'cache-control': 'max-age=31536000',
    ...(body && { 'content-type': 'application/json' })
  }
  const time = timeOf(url)
  // Cookies from other servers on this host would make it a request with credentials.
  const response = await fetch(url, { method, headers, cache: 'no-store', credentials: 'omit', body: body && JSON.stringify(body()) })
  const content = await response.blob()
  return {
    method,
    url,
    status: response.status,
    headers: response.headers,
    cache: kindOf(response.headers),
    content,
    milliseconds: await time
  }
}

/** The counters, and the keys; none while the store does not answer. */
export async function readCache () {
  const [stats, keys] = await Promise.all(['/cache/stats', '/cache/keys'].map((url) => fetch(url, { credentials: 'omit' })))
  return { stats: await stats.json(), keys: keys.ok ? await keys.json() : undefined }
}
