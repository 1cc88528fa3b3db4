const { rounds } = require('./rounds.cjs')
const fastify = require('fastify')
const apiCache = require('fastify-api-cache')
const { createClient } = require('redis')

rounds({ fastify, apiCache, createClient }, process.argv[2]).then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
