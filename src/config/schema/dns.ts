// The `dns` part of gateway.yaml: its keys, their defaults and meanings.

import { z } from 'zod';
import { parseForwardUpstream, parseUpstreamEntry } from '../upstreams.ts';
import { parseName } from '../values.ts';
import { GATEWAY_DEFAULTS as D } from './defaults.ts';
import { networks } from './fields.ts';
import { optional, textOf } from './keys.ts';

export const dns = z.strictObject({
  upstreams: optional(z.array(textOf(parseUpstreamEntry)).min(1), {
    says: 'The DNS servers that answer what is allowed, in order. `system` stands for those of this machine; otherwise write IP or IP:port. Encrypted upstreams are not in this version.',
    write: 'write a list such as [system] or ["9.9.9.9", "149.112.112.112"]',
    fallback: D.upstreams,
  }),
  forward: optional(z.record(textOf(parseName), z.array(textOf(parseForwardUpstream)).min(1)), {
    says: 'Names with DNS servers of their own: each name, and all below it, goes to the servers written beside it. Such names may have private addresses.',
    write: 'write names with lists of servers, for example { inside.example: ["10.0.0.2"] }',
    fallback: D.forward,
  }),
  block: optional(z.union([z.enum(['nxdomain', 'null', 'page']), z.null()]), {
    says: 'The DNS answer for a blocked name: `nxdomain` (no such name), `null` (0.0.0.0 and ::) or `page` (the address in `web.public`, so that browsers show the block page for plain http).',
    write: 'write one of: nxdomain, null, page',
    fallback: D.block,
  }),
  serve: networks('The networks that may ask. Others are refused.', D.serve),
  rate_limit: optional(
    z.strictObject({
      qps: optional(z.int().min(1).max(1_000_000), {
        says: 'Queries a second that one client address may ask.',
        write: 'write a whole number from 1 to 1000000',
        fallback: D.qps,
      }),
      exempt: networks('Networks without a limit, such as a DNS forwarder inside the school.', D.exempt),
    }),
    { says: 'The limit on queries from one client.', write: 'write { qps: 300, exempt: [] }' },
  ),
});
