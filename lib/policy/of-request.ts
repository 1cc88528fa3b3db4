import type { FastifyRequest } from 'fastify'

/**
 * A function of the request. It may declare the type that requests of its route have, as in
 * `({ params }: FastifyRequest<{ Params: { id: string } }>) => params.id`, because Fastify gives the types of a route
 * to all of its options but `config`. Methods accept such a declaration, functions do not.
 * @template Rest what it gets after the request
 */
export type OfRequest<Rest extends readonly unknown[], Result> =
  { of (request: FastifyRequest, ...rest: Rest): Result }['of']

/** A policy whose functions get a request of this type. */
export type PolicyFor<Request, Policy> = { [Field in keyof Policy]: FieldFor<Request, Policy[Field]> }

type FieldFor<Request, Field> = Field extends (request: FastifyRequest, ...rest: infer Rest) => infer Result
  ? { of (request: Request, ...rest: Rest): Result }['of']
  : Field
