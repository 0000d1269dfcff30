// Starts the whole gateway over one list of names, for load programs from outside: a configuration and a data directory of
// its own, every name of the list blocked for everyone, all else allowed and asked of one upstream.
// Run as `bin/runtime bench/serve-list.ts --dns 127.0.0.1:5300 --proxy 127.0.0.1:5301 --list FILE --upstream 127.0.0.1:53 --data DIR
// [--udp auto|batched|dgram] [--threads N]`; takes over the process, so that its id is the gateway's.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { execve } from 'node:process';
import { fileURLToPath } from 'node:url';

const { values } = parseArgs({
  options: {
    dns: { type: 'string', default: '127.0.0.1:0' },
    proxy: { type: 'string', default: '127.0.0.1:0' },
    list: { type: 'string' },
    upstream: { type: 'string' },
    data: { type: 'string' },
    udp: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: '1' },
  },
});
const { dns, proxy, list, upstream, data, udp, threads } = values;
if (list === undefined || upstream === undefined || data === undefined) {
  process.stderr.write('write --list FILE --upstream IP:PORT --data DIR\n');
  process.exit(2);
}

const dir = resolve(data);
mkdirSync(dir, { recursive: true });
// JSON is YAML too.
writeFileSync(
  join(dir, 'gateway.yaml'),
  JSON.stringify({
    school: { name: 'Measured Primary' },
    listen: { dns: [dns], proxy: [proxy], web: ['127.0.0.1:0'] },
    dns: { upstreams: [upstream], udp, rate_limit: { exempt: ['127.0.0.0/8'] } },
    allow_private: ['127.0.0.0/8'],
    blocklists: [{ name: 'measured', category: 'adult', source: resolve(list), format: 'domains' }],
    workers: { dns: Number(threads), proxy: 1 },
  }),
);
writeFileSync(
  join(dir, 'policy.yaml'),
  JSON.stringify({
    groups: {
      everyone: {
        label: 'Everyone',
        default: 'allow',
        direct_ip: 'allow',
        safe_search: 'off',
        video: 'off',
        ratings: { adult: 'unacceptable' },
      },
    },
    unknown: 'everyone',
  }),
);
const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, 'node_modules/.cache/schoolgate');
execve?.(
  process.execPath,
  [
    process.execPath,
    '--max-semi-space-size=8',
    join(root, 'src/main.ts'),
    'serve',
    '--config',
    join(dir, 'gateway.yaml'),
    '--data',
    join(dir, 'data'),
  ],
  { ...process.env, NODE_COMPILE_CACHE: cache },
);
