declare module 'autocannon' {
  namespace autocannon {
    interface Request {
      method: 'GET'
      path?: string
      setupRequest?: (request: Request) => Request
      onResponse?: (status: number, body: string, context: object, headers: Record<string, string>) => void
    }

    interface Options {
      url: string
      connections: number
      duration: number
      sampleInt: number
      overallRate?: number
      ignoreCoordinatedOmission?: boolean
      requests: Request[]
    }

    interface Result {
      duration: number
      errors: number
      latency: { p50: number, p99: number, max: number }
      requests: { total: number }
    }
  }

  function autocannon (options: autocannon.Options): Promise<autocannon.Result>
  export = autocannon
}
