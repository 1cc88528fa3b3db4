// Runs the tests that are about NestJS on another version of it: npm run test:nest -- 12 [dist/test/AREA/NAME.test.js …]
import { copyOfProject } from './copy-of-project.mjs'

const TESTS = ['nest/guards', 'nest/features', 'nest/module', 'ecosystem/nest', 'encoding/nest']

const [version = '12', ...chosen] = process.argv.slice(2)
const { run, say, fail, install, installed, compilerErrors } = copyOfProject('with-nest')

install(...['common', 'core', 'platform-fastify'].map((name) => `@nestjs/${name}@${version}`))
say(`NestJS is ${installed('@nestjs/core')}`)
// Without the packages that only peers ask for, other tests do not compile; the compiler emits them anyway.
const errors = compilerErrors().filter((line) => /^(lib|index|test\/nest)[/.]/.test(line))
if (errors.length > 0) fail(`it does not compile with the types of this NestJS: ${errors[0]}`)
process.exitCode = run('npx', ['tap', ...(chosen.length > 0 ? chosen : TESTS.map((name) => `dist/test/${name}.test.js`))]) ? 0 : 1
