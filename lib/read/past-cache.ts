import { unexpectedReturn } from '../policy/fields.js'
import { bypassFor, type Bypass, type Exchange } from './exchange.js'

/**
 * The bypass of a request that the plugin's options let past the cache; undefined for any other. If their function
 * fails, it is unknown what it wanted, and the handler's response is right for everybody.
 */
export function pastCache ({ route: { runtime, name }, request }: Exchange): Bypass | undefined {
  const { enabled, bypass, log } = runtime
  if (!enabled) return bypassFor('disabled')
  if (bypass === undefined) return undefined
  try {
    const wanted = bypass(request) ?? false
    if (typeof wanted !== 'boolean') throw unexpectedReturn('bypass', 'true or false', wanted)
    return wanted ? bypassFor('bypass') : undefined
  } catch (fault) {
    log.policyFault(request.log, name, fault)
    return bypassFor('policy')
  }
}
