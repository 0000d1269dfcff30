// From the configuration to what the data threads act on: upstreams looked up, own addresses known, loops refused.

import { readFileSync } from 'node:fs';
import { isNameOf, readCertificate } from '../config/certificate.ts';
import type { GatewayConfig } from '../config/types.ts';
import { isOurselves, systemUpstreams, upstreamText } from '../resolver/upstreams.ts';
import type { AnyUpstream, Upstream } from '../resolver/types.ts';
import type { DataSettings, Endpoint } from './messages.ts';
import { interfaceAddresses } from './own-addresses.ts';
import { ownNames } from './own-names.ts';

/** The endpoints the gateway really listens on, after port 0 was settled. */
export type Listening = {
  readonly dns: readonly Endpoint[];
  readonly dot: readonly Endpoint[];
  readonly doh: readonly Endpoint[];
  readonly proxy: readonly Endpoint[];
  readonly web: readonly Endpoint[];
};

const RESOLV_CONF = '/etc/resolv.conf';

function readSystemUpstreams(): Upstream[] {
  try {
    return systemUpstreams(readFileSync(RESOLV_CONF, 'utf8'));
  } catch {
    return [];
  }
}

/** Read anew at each reload. @throws Error when it cannot be shown: those in force stay then */
function readTls({ tls, listen }: GatewayConfig): DataSettings['tls'] {
  if (tls === null || listen.dot.length + listen.doh.length === 0) return null;
  const read = readCertificate(tls.cert, tls.key);
  if (!read.ok) throw new Error(`tls.${read.part}: ${read.problem}, ${read.advice}`);
  return { ...read.value, host: tls.host };
}

/** @throws Error when an upstream is the gateway itself, naming it */
export function toDataSettings(config: GatewayConfig, listening: Listening): DataSettings {
  const local = interfaceAddresses();
  const answering = [...listening.dns, ...listening.dot, ...listening.doh];
  const refuseLoop = <T extends AnyUpstream>(upstream: T, from: string): T => {
    if (!isOurselves(upstream, answering, local)) return upstream;
    throw new Error(
      `upstream ${upstreamText(upstream)} (${from}) is this gateway itself: name the provider's or another resolver under dns.upstreams`,
    );
  };
  const upstreams = config.dns.upstreams.flatMap((upstream): AnyUpstream[] =>
    upstream === 'system'
      ? readSystemUpstreams().map((found) => refuseLoop(found, RESOLV_CONF))
      : [refuseLoop(upstream, 'dns.upstreams')],
  );
  const forward = Object.fromEntries(
    Object.entries(config.dns.forward).map(([name, to]) => [
      name,
      to.map((upstream) => refuseLoop(upstream, `dns.forward ${name}`)),
    ]),
  );
  const { host, v4, v6 } = config.web.public;
  const tls = readTls(config);
  const everywhere = [...answering, ...listening.proxy, ...listening.web];
  return {
    upstreams,
    forward,
    bootstrap: config.dns.bootstrap.map((upstream) => refuseLoop(upstream, 'dns.bootstrap')),
    upstreamCa: config.dns.upstreamCa === null ? null : readFileSync(config.dns.upstreamCa, 'utf8'),
    block: config.dns.block,
    page: { v4, v6 },
    serve: config.dns.serve,
    rateLimit: config.dns.rateLimit,
    cache: config.dns.cache,
    tunnel: config.dns.tunnel,
    connectPorts: config.proxy.connectPorts,
    allowPrivate: config.allowPrivate,
    own: {
      host,
      addresses: [
        ...new Set([...local, ...everywhere.map(({ address }) => address), v4, v6].filter((a) => a !== null)),
      ],
      ports: [...new Set(everywhere.map(({ port }) => port))],
    },
    ownNames: ownNames(config, listening, (name) => tls !== null && isNameOf(tls.cert, `id.${name}`)),
    tls,
    school: { name: config.school.name, language: config.school.language },
    publicUrl: host === null ? null : `http://${host}:${listening.web[0]!.port}`,
  };
}
