// What is in force when a key of gateway.yaml is left out. Values as they are written in the file.

/** What is in force when a key is left out. */
export const GATEWAY_DEFAULTS = {
  site: 'main',
  timezone: 'Europe/London',
  language: 'en',
  dns: ['127.0.0.1:1053'],
  proxy: ['127.0.0.1:3128'],
  web: ['127.0.0.1:8080'],
  upstreams: ['system'],
  forward: {},
  block: 'nxdomain',
  serve: ['127.0.0.0/8', '::1'],
  qps: 300,
  exempt: [],
  connectPorts: [443, 8443],
  allowPrivate: [],
  metrics: ['127.0.0.0/8', '::1'],
  format: 'auto',
  match: 'format',
  sealed: false,
  workers: 'auto',
  blocked: '365d',
  allowed: '30d',
  maxSize: '4GB',
  sync: 'full',
  policy: 'policy.yaml',
} as const;
