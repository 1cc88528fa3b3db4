import t from 'tap'
import { LocalTier } from '../../lib/store/local/local-tier.js'
import { storeSuite } from '../../lib/store/suite.js'
import { FullStore } from '../support/map-store.js'

for (const { name, run } of storeSuite(() => new LocalTier(new FullStore(), undefined, {}))) t.test(`in a local tier: ${name}`, run)
