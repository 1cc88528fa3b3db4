import t from 'tap'
import { soak } from './soak/soak.js'

t.test('traffic during outages of Redis leaks no memory, listeners or resources', { timeout: 120_000 }, async (t) => {
  const report = await soak(60_000, 3)
  t.comment(JSON.stringify(report))
  t.ok(report.requests >= 60_000)
  t.equal(report.refused, 0)
  t.ok(report.hits > 10_000 && report.bypasses > 100, 'with HITs and outages')
  t.ok(report.growth < 5)
  t.equal(report.listenersAfter, report.listenersBefore)
  t.ok(report.resourcesAfter <= report.resourcesBefore)
})
