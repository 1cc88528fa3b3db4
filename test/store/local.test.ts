import t from 'tap'
import { LocalTier } from '../../lib/store/local/local-tier.js'
import { TurnVersions } from '../../lib/store/local/turn-versions.js'
import { storeSuite } from '../../lib/store/suite.js'
import { FullStore } from '../support/map-store.js'

function open (): LocalTier {
  const store = new FullStore()
  return new LocalTier(store, new TurnVersions(store), {})
}

for (const { name, run } of storeSuite(open)) t.test(`in a local tier: ${name}`, run)
