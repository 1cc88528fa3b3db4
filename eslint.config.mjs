import neostandard, { resolveIgnoresFromGitignore } from 'neostandard'

export default [
  ...neostandard({
    ts: true,
    filesTs: ['**/*.mts'],
    ignores: resolveIgnoresFromGitignore()
  }),
  {
    rules: {
      // Says that a promise is left alone on purpose.
      'no-void': ['error', { allowAsStatement: true }]
    }
  }
]
