// The `dns` part of gateway.yaml: its keys, their defaults and meanings.

import { z } from 'zod';
import { parseBootstrap, parseForwardUpstream, parseUpstreamEntry } from '../upstreams.ts';
import {
  parseCacheSize,
  parseDuration,
  parseName,
  parseNetwork,
  parseText,
  parseZoneName,
} from '../values.ts';
import type { Parsed } from '../values.ts';
import { GATEWAY_DEFAULTS as D } from './defaults.ts';
import { networks } from './fields.ts';
import { optional, textOf } from './keys.ts';
import { localNames } from './local-names.ts';

/** `off` is told by the schema; what is neither is advised of both. */
const parseStale = (text: string): Parsed<number> => {
  const parsed = parseDuration(text);
  return parsed.ok ? parsed : { ...parsed, advice: `${parsed.advice}, or off` };
};

export const dns = z.strictObject({
  upstreams: optional(z.array(textOf(parseUpstreamEntry)).min(1), {
    says: 'The DNS servers that answer what is allowed, in order. `system` stands for those of this machine; otherwise write IP or IP:port, or `tls://host` (DNS over TLS) or `https://host/path` (DNS over HTTPS), whose certificate must be for that host. `tls://IP#host` says where the host is. One that fails, or takes more than three times as long as a later one and 50 ms on top, comes after it.',
    write: 'write a list such as [system] or ["9.9.9.9", "149.112.112.112"]',
    fallback: D.upstreams,
  }),
  forward: optional(z.record(textOf(parseZoneName), z.array(textOf(parseForwardUpstream)).min(1)), {
    says: 'Names with DNS servers of their own: each name, and all below it, goes to the servers written beside it. Such names may have private addresses.',
    write: 'write names with lists of servers, for example { inside.example: ["10.0.0.2"] }',
    fallback: D.forward,
  }),
  ...localNames,
  bootstrap: optional(z.array(textOf(parseBootstrap)).min(1), {
    says: 'The DNS servers that are asked where the host of an encrypted upstream is, when it is written without address: IP or IP:port. Without this key the plain ones of `upstreams` are asked.',
    write: 'write a list such as ["9.9.9.9"]',
  }),
  upstream_ca: optional(textOf(parseText), {
    says: 'A file of PEM certificates that encrypted upstreams may be signed by, besides the authorities that are trusted everywhere. Relative to this file.',
    write: 'write a file, for example school-ca.pem',
  }),
  block: optional(z.union([z.enum(['nxdomain', 'null', 'page']), z.null()]), {
    says: 'The DNS answer for a blocked name: `nxdomain` (no such name), `null` (0.0.0.0 and ::) or `page` (the address in `web.public`, so that browsers show the block page for plain http).',
    write: 'write one of: nxdomain, null, page',
    fallback: D.block,
  }),
  udp: optional(z.enum(['auto', 'batched', 'dgram']), {
    says: 'How datagrams are read and sent: `batched` (many by one call of the system, Linux only), `dgram` (one by one), or `auto`: batched where a test at the start shows that it works.',
    write: 'write one of: auto, batched, dgram',
    fallback: D.udp,
  }),
  serve: optional(z.array(textOf(parseNetwork)).min(1), {
    says: 'The networks that may ask. Others are refused.',
    write: 'write a list of addresses or networks, for example ["10.0.0.0/8"]; with none nobody could ask',
    fallback: D.serve,
  }),
  rate_limit: optional(
    z.strictObject({
      qps: optional(z.int().min(1).max(1_000_000), {
        says: 'Queries a second that one client address may ask, and ten times as many at once: a class may stand behind one address.',
        write: 'write a whole number from 1 to 1000000',
        fallback: D.qps,
      }),
      exempt: networks('Networks without a limit, such as a DNS forwarder inside the school.', D.exempt),
    }),
    { says: 'The limit on queries from one client.', write: 'write { qps: 500, exempt: [] }' },
  ),
  cache: optional(
    z.strictObject({
      size: optional(textOf(parseCacheSize), {
        says: 'The memory for answers in each DNS thread; 16MB hold about 100,000.',
        write: 'write a size from 1MB to 1GB, for example 32MB',
        fallback: D.cacheSize,
      }),
      min_ttl: optional(z.int().min(0).max(3600), {
        says: 'Seconds for which an answer is kept even if its TTL is shorter. A TTL of 0 stays 0.',
        write: 'write a whole number of seconds from 0 to 3600',
        fallback: D.minTtl,
      }),
      max_ttl: optional(z.int().min(1).max(604_800), {
        says: 'Seconds for which an answer is kept at most.',
        write: 'write a whole number of seconds from 1 to 604800',
        fallback: D.maxTtl,
      }),
      stale: optional(z.union([z.literal('off'), textOf(parseStale)]), {
        says: 'For how long after its TTL an answer may still be given while no upstream answers; `off` for never.',
        write: 'write a length of time such as 1d, or off',
        fallback: D.stale,
      }),
      prefetch: optional(z.boolean(), {
        says: 'Ask anew for names that are asked for often, shortly before their TTL is over.',
        write: 'write true or false',
        fallback: D.prefetch,
      }),
    }),
    { says: 'The cache of answers.', write: 'write { size: 32MB }' },
  ),
  tunnel: optional(
    z.strictObject({
      action: optional(z.enum(['limit', 'log', 'off']), {
        says: 'What happens when a client’s queries look like data carried in DNS (many long or made-up names, or much TXT, under one domain; or hundreds of new domains a minute): `limit` blocks them for ten minutes, `log` only writes it down.',
        write: 'write one of: limit, log, off',
        fallback: D.tunnelAction,
      }),
      exempt: optional(z.array(textOf(parseName)), {
        says: 'Domains that are never counted, such as the one by which a product checks files. The usual ones are known.',
        write: 'write a list of names, for example [checks.example]',
        fallback: D.exempt,
      }),
    }),
    { says: 'The guard against tunnels through DNS.', write: 'write { action: limit, exempt: [] }' },
  ),
});
