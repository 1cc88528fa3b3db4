import fastify from 'fastify'
import apiCache from 'fastify-api-cache'
import { createClient } from 'redis'
import { rounds } from './rounds.cjs'

await rounds({ fastify, apiCache, createClient }, process.argv[2])
process.exit(0)
