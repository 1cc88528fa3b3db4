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
  },
  {
    files: ['index.ts', 'lib/**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      complexity: ['error', 12],
      'max-len': ['error', { code: 120, ignoreUrls: true }],
      'max-lines': ['error', 250],
      'max-params': ['error', 4]
    }
  }
]
