import createError from '@fastify/error'

/** A policy or the options have an unknown field; the message suggests the closest known one, or all. */
export const UnknownFieldError = createError<[what: string, field: string, meant: string]>(
  'FST_API_CACHE_UNKNOWN_FIELD', "%s has no field '%s'; did you mean %s?", 500, TypeError)

/** A field has an invalid value; the message says what is valid. */
export const InvalidFieldError = createError<[what: string, field: string, expected: string, got: string]>(
  'FST_API_CACHE_INVALID_FIELD', "%s: '%s' must be %s, got %s", 500, TypeError)

/** A variable of the environment has an invalid value. */
export const InvalidEnvironmentError = createError<[name: string, expected: string, got: string]>(
  'FST_API_CACHE_INVALID_ENVIRONMENT', "%s must be %s, got '%s'", 500, RangeError)

/** A policy lacks a required field. */
export const MissingFieldError = createError<[what: string, missing: string]>(
  'FST_API_CACHE_MISSING_FIELD', '%s: %s', 500, TypeError)

/** A read policy on a method that changes data, or a write policy on a method that reads. */
export const WrongMethodError = createError<[what: string, instead: string]>(
  'FST_API_CACHE_WRONG_METHOD', '%s: %s', 500, TypeError)

/** `reply.cached` on a reply that is cached already. */
export const AlreadyCachedError = createError<[route: string]>(
  'FST_API_CACHE_ALREADY_CACHED',
  '%s: one response is cached once; call reply.cached once for each request, ' +
  'and on routes without a policy of their own in config.cache', 500)

/** A request with `only-if-cached` for which nothing is stored (RFC 9111 section 5.2.1.7). */
export const OnlyIfCachedError = createError<[route: string]>(
  'FST_API_CACHE_ONLY_IF_CACHED', '%s: the request is only for what is stored, and nothing is', 504)

/** A handler that has not answered a refresh in time. Only the log shows it. */
export const RefreshTimeoutError = createError<[route: string, milliseconds: string]>(
  'FST_API_CACHE_REFRESH_TIMEOUT',
  '%s has not answered a refresh within %s ms, so it is given up, and its request.signal is aborted; ' +
  "the route's handlerTimeout sets this limit", 503)

/** A caching policy on a route of NestJS, whose guards a HIT would skip. */
export const NestRouteError = createError<[route: string]>(
  'FST_API_CACHE_NEST_ROUTE',
  '%s is a route of NestJS, whose guards run inside its handler, where a HIT would skip them; ' +
  'cache it with @Cached, and the plugin with ApiCacheModule, both of fastify-api-cache/nest; ' +
  "or guard it with Fastify hooks and register the plugin with guards: 'hooks', " +
  "or give its policy serveFrom: 'onRequest' if it is open to all", 500)

/** A decorator on a class of NestJS, without the module that applies it to the methods. */
export const NestClassError = createError<[route: string]>(
  'FST_API_CACHE_NEST_CLASS',
  '%s is a route of a class with @Cached or @Invalidates, which need ApiCacheModule of fastify-api-cache/nest: ' +
  'import ApiCacheModule.forRoot() in the root module, in the place of app.register(apiCache)', 500)

/** An interceptor of a NestJS application that no order of modules puts before ours. */
export const NestInterceptorError = createError<[method: string, interceptor: string]>(
  'FST_API_CACHE_NEST_INTERCEPTOR',
  '%s has @Cached, but NestJS runs %s after the cache, so a HIT would skip it: an APP_INTERCEPTOR that is made for ' +
  'each request comes after all others; give it the default scope, and its module to the imports before ' +
  'ApiCacheModule; or give it to classes with @UseInterceptors if what it makes may be stored', 500)

/** `ApiCacheModule` in an application that is not on the Fastify adapter. */
export const NestAdapterError = createError<[]>(
  'FST_API_CACHE_NEST_ADAPTER',
  'ApiCacheModule needs the Fastify adapter: NestFactory.create(AppModule, new FastifyAdapter()); ' +
  'a program without a server uses createApiCache of fastify-api-cache/client', 500)

/** A write route that was declared before the plugin was loaded: it would invalidate nothing. */
export const EarlyRouteError = createError<[route: string]>(
  'FST_API_CACHE_EARLY_ROUTE',
  '%s was declared before the plugin was loaded and would invalidate nothing; ' +
  'await app.register(apiCache) before declaring routes', 500)

/** The plugin is already registered in this context or a parent, or with the same prefix on this server. */
export const AlreadyRegisteredError = createError<[reason: string]>(
  'FST_API_CACHE_ALREADY_REGISTERED', '%s', 500)

/** `store: 'redis'` without a Redis client. */
export const NoRedisError = createError<[reason: string]>(
  'FST_API_CACHE_NO_REDIS', '%s', 500)

/** A Redis client whose settings would make the plugin serve invalidated responses. */
export const UnsafeRedisError = createError<[reason: string]>(
  'FST_API_CACHE_UNSAFE_REDIS', '%s', 500)

/** Redis replied with something that does not fit the command, so its outcome is unknown. */
export const UnexpectedReplyError = createError<[command: string, got: string]>(
  'FST_API_CACHE_UNEXPECTED_REPLY',
  'the reply to %s is %s, which confirms nothing; ' +
  'give the plugin a client that no other code uses for MULTI or wraps to change replies', 500)

/** A method of `fastify.apiCache`, or a function of a write policy, got something that is not a name. */
export const InvalidNameError = createError<[what: string, got: string]>(
  'FST_API_CACHE_INVALID_NAME', '%s must be a non-empty string or a list of them, got %s', 500, TypeError)

/** A name that can only be meant as a pattern. */
export const PatternNameError = createError<[what: string, name: string]>(
  'FST_API_CACHE_PATTERN_NAME',
  "%s takes names, and '%s' is no pattern; for everything under the prefix call fastify.apiCache.clear()",
  500, TypeError)

/** More names than one invalidation may have. */
export const TooManyNamesError = createError<[what: string, limit: number, got: number]>(
  'FST_API_CACHE_TOO_MANY_NAMES',
  '%s takes at most %s names, got %s; write several calls, or fastify.apiCache.clear() for everything', 500, RangeError)

/** The store could not be reached, so the operation was refused. */
export const StoreUnavailableError = createError<[what: string, options?: { cause: unknown }]>(
  'FST_API_CACHE_STORE_UNAVAILABLE', '%s', 503)

/** A client of the cache was not told in time that its invalidation is done. */
export const UnconfirmedError = createError<[what: string]>(
  'FST_API_CACHE_UNCONFIRMED',
  '%s was not confirmed by Redis in time, so stale responses may be served; it is sent again until close(): ' +
  'call it again later, or let the job fail and run again', 503)
