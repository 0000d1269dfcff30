// The one schema of gateway.yaml: which keys there are, what each holds, its default and its meaning.
// Shape only; what needs the file system, the other file or two keys at once is in check-gateway.ts.

import { z } from 'zod';
import { GATEWAY_DEFAULTS as D } from './defaults.ts';
import { dns } from './dns.ts';
import { extraListen, listen, networks } from './fields.ts';
import { optional, required, textOf } from './keys.ts';
import { proxyProtocol, tls } from './tls.ts';
import {
  parseDuration,
  parseIdentifier,
  parseName,
  parseNameOrNetwork,
  parseSize,
  parseText,
  parseV4,
  parseV6,
  parseZone,
} from '../values.ts';
import { parseSource } from '../sources.ts';

export const LIST_FORMATS = [
  'auto',
  'hosts',
  'domains',
  'wildcard',
  'adblock',
  'dnsmasq',
  'squidguard',
  'rpz',
  'ips',
] as const;

const school = z.strictObject({
  name: required(textOf(parseText), {
    says: 'The name of the school, as people read it on the block page.',
    write: 'write name: and the name of the school',
  }),
  site: optional(textOf(parseIdentifier), {
    says: 'A short label for this site. Every log row carries it.',
    write: 'write a short label, for example main',
    fallback: D.site,
  }),
  timezone: optional(textOf(parseZone), {
    says: 'The time zone of the school. Timetables follow its clock.',
    write: 'write an IANA name, for example Europe/London',
    fallback: D.timezone,
  }),
  language: optional(z.enum(['en']), {
    says: 'The language of the block page. This version speaks English only.',
    write: 'write en, the only language of this version',
    fallback: D.language,
  }),
});

const list = z.strictObject({
  name: required(textOf(parseIdentifier), {
    says: 'A name of your choice, different for each list. The log names the list that blocked.',
    write: 'write name: and a short label, for example ut1-games',
  }),
  category: required(textOf(parseIdentifier), {
    says: 'The category that the groups rate in policy.yaml. Several lists may share one. A list of category `illegal` is always sealed.',
    write: 'write category: and a short label, for example games',
  }),
  source: required(textOf(parseSource), {
    says: 'The file, relative to gateway.yaml; `.gz` is read as it is. A squidGuard or UT1 category directory will do: its `domains` file is read.',
    write: 'write source: and the path of a file or of a category directory',
  }),
  format: optional(z.enum(LIST_FORMATS), {
    says: `How the file is written: ${LIST_FORMATS.join(', ')}. \`auto\` looks at the first lines.`,
    write: `write one of: ${LIST_FORMATS.join(', ')}`,
    fallback: D.format,
  }),
  match: optional(z.enum(['format', 'suffix', 'exact']), {
    says: 'What an entry covers: `format` (what the format means), `suffix` (the name and all below it) or `exact` (the name alone).',
    write: 'write one of: format, suffix, exact',
    fallback: D.match,
  }),
  sealed: optional(z.boolean(), {
    says: 'A sealed list blocks for everyone, and no allow list, timetable or unblock can lift it. Always true for category `illegal`.',
    write: 'write true or false',
    fallback: D.sealed,
  }),
});

const threads = (what: string) =>
  required(z.int().min(1).max(64), {
    says: `Threads for ${what}.`,
    write: 'write a whole number from 1 to 64',
  });

const retention = (says: string, fallback: string) =>
  optional(textOf(parseDuration), { says, write: 'write a length of time, for example 365d', fallback });

export const gatewaySchema = z.strictObject({
  school: required(school, {
    says: 'Which school this is.',
    write: 'write school: { name: Example Primary }',
  }),
  listen: optional(
    z.strictObject({
      dns: listen('DNS, over UDP and TCP.', D.dns),
      dot: extraListen('DNS over TLS. Needs `tls`.', '0.0.0.0:853'),
      doh: extraListen(
        'DNS over HTTPS, under the path `/dns-query`, or `/dns-query/<id>` for a device with a client id. Needs `tls`.',
        '0.0.0.0:8443',
      ),
      proxy_protocol: optional(proxyProtocol, {
        says: 'Forwarders that pass on the address of the client by the PROXY protocol. Left out: none.',
        write: 'write { from: ["10.0.0.5"], on: [dot, doh] }',
      }),
      proxy: listen('The web proxy.', D.proxy),
      web: listen('The web part: API, health and metrics.', D.web),
    }),
    {
      says: 'Where the gateway listens. Port 0 takes any free port and prints it.',
      write: 'write { dns: [...], proxy: [...], web: [...] }',
    },
  ),
  tls: optional(tls, {
    says: 'The certificate for DNS over TLS and HTTPS.',
    write: 'write { cert: gateway.crt, key: gateway.key, host: gateway.example.sch.uk }',
  }),
  dns: optional(dns, { says: 'The DNS part.', write: 'write { upstreams: [system] }' }),
  proxy: optional(
    z.strictObject({
      connect_ports: optional(z.union([z.literal('any'), z.array(z.int().min(1).max(65535)).min(1)]), {
        says: 'The ports that tunnels (https) may go to, or `any`.',
        write: 'write a list of ports such as [443, 8443], or any',
        fallback: D.connectPorts,
      }),
    }),
    { says: 'The web proxy.', write: 'write { connect_ports: [443, 8443] }' },
  ),
  allow_private: optional(z.array(textOf(parseNameOrNetwork)), {
    says: 'Names or networks inside the school that clients may reach. Everything else on private addresses is refused.',
    write: 'write a list of names or networks, for example [inside.example, "10.0.5.0/24"]',
    fallback: D.allowPrivate,
  }),
  web: optional(
    z.strictObject({
      public: optional(
        z.strictObject({
          host: optional(textOf(parseName), {
            says: 'The name by which clients reach the web part.',
            write: 'write a host name, for example gateway.example.sch.uk',
          }),
          v4: optional(textOf(parseV4), {
            says: 'Its IPv4 address.',
            write: 'write an IPv4 address, for example 10.0.0.1',
          }),
          v6: optional(textOf(parseV6), {
            says: 'Its IPv6 address.',
            write: 'write an IPv6 address, for example "fd00::1"',
          }),
        }),
        {
          says: 'How clients reach the web part. `dns.block: page` answers with these addresses.',
          write: 'write { host: gateway.example.sch.uk, v4: 10.0.0.1 }',
        },
      ),
    }),
    { says: 'The web part.', write: 'write { public: { host: gateway.example.sch.uk, v4: 10.0.0.1 } }' },
  ),
  metrics: optional(
    z.strictObject({ allow: networks('The networks that may read `/metrics`.', D.metrics) }),
    {
      says: 'Figures for Prometheus, on the web port under `/metrics`.',
      write: 'write { allow: ["127.0.0.0/8"] }',
    },
  ),
  blocklists: required(z.array(list).min(1).max(1000), {
    says: 'The lists of names, each with its category. At least one.',
    write:
      'write a list with entries such as { name: games, category: games, source: ../blocklists/games.txt }',
  }),
  workers: optional(
    z.union([z.literal('auto'), z.strictObject({ dns: threads('DNS'), proxy: threads('the proxy') })]),
    {
      says: 'How many threads. `auto` is one for DNS and, for the proxy, one less than the machine has cores (at least one).',
      write: 'write auto or { dns: 1, proxy: 2 }',
      fallback: D.workers,
    },
  ),
  audit: optional(
    z.strictObject({
      retention: optional(
        z.strictObject({
          blocked: retention('For blocks and for visits that an unblock let through.', D.blocked),
          allowed: retention('For allowed visits.', D.allowed),
        }),
        { says: 'How long log rows are kept.', write: 'write { blocked: 365d, allowed: 30d }' },
      ),
      max_size: optional(textOf(parseSize), {
        says: 'The most that the log may take on disk. The oldest allowed visits go first.',
        write: 'write a size, for example 4GB',
        fallback: D.maxSize,
      }),
      sync: optional(z.enum(['full', 'normal']), {
        says: 'How the log reaches the disk: with `full` a power cut loses at most the last quarter of a second; `normal` spares SD cards, and a power cut may lose some minutes.',
        write: 'write one of: full, normal',
        fallback: D.sync,
      }),
    }),
    { says: 'The log.', write: 'write { retention: { blocked: 365d, allowed: 30d }, max_size: 4GB }' },
  ),
  policy: optional(textOf(parseText), {
    says: 'The policy file, relative to this one.',
    write: 'write a path, for example policy.yaml',
    fallback: D.policy,
  }),
});

/** Keys that a reader of the documentation may try, and why they are refused. */
export const GATEWAY_LATER: Readonly<Record<string, string>> = {
  'blocklists[].refresh': 'lists are not fetched in this version: save the list as a file and leave this out',
  'listen.transparent': 'the transparent proxy is not in this version: leave this out',
};
