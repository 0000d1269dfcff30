// From gateway.yaml as plain data to `GatewayConfig`: defaults filled in, paths absolute, units plain.
// It reports nothing: shape and meaning are checked elsewhere, and wrong parts fall back to their defaults.

import { dirname, resolve } from 'node:path';
import { GATEWAY_DEFAULTS as D } from './schema/defaults.ts';
import { LIST_FORMATS } from './schema/gateway.ts';
import { PROXY_PROTOCOL_ON } from './schema/tls.ts';
import { list, mapping, meaning, meanings, whole, word, type Raw } from './raw.ts';
import { parseBootstrap, parseForwardUpstream, parseUpstreamEntry } from './upstreams.ts';
import {
  parseCacheSize,
  parseDuration,
  parseIdentifier,
  parseListen,
  parseName,
  parseNameOrNetwork,
  parseNetwork,
  parseSize,
  parseText,
  parseV4,
  parseV6,
  parseZone,
} from './values.ts';
import type { AnyUpstream } from '../resolver/types.ts';
import type { DnsCacheSettings, GatewayConfig, ListConfig } from './types.ts';

const duration = (value: unknown, fallback: string): number =>
  meaning(value, parseDuration, null) ?? meaning(fallback, parseDuration, 0);

/** The policy file that gateway.yaml names, as an absolute path. */
function policyPath(file: string, data: unknown): string {
  return resolve(dirname(file), meaning(mapping(data)['policy'], parseText, D.policy));
}

/** @param cores how many processor cores `workers: auto` may count on */
export function resolveGateway(file: string, data: unknown, cores: number): GatewayConfig {
  const top = mapping(data);
  const school = mapping(top['school']);
  const listen = mapping(top['listen']);
  const dns = mapping(top['dns']);
  const rate = mapping(dns['rate_limit']);
  const audit = mapping(top['audit']);
  const retention = mapping(audit['retention']);
  const shown = mapping(mapping(top['web'])['public']);
  return {
    file: resolve(file),
    policyFile: policyPath(file, data),
    school: {
      name: meaning(school['name'], parseText, ''),
      site: meaning(school['site'], parseIdentifier, D.site),
      timezone: meaning(school['timezone'], parseZone, D.timezone),
      language: D.language,
    },
    listen: {
      dns: meanings(listen['dns'], parseListen, D.dns),
      dot: meanings(listen['dot'], parseListen, D.dot),
      doh: meanings(listen['doh'], parseListen, D.doh),
      proxyProtocol: resolveProxyProtocol(mapping(listen['proxy_protocol'])),
      proxy: meanings(listen['proxy'], parseListen, D.proxy),
      web: meanings(listen['web'], parseListen, D.web),
    },
    tls: resolveTls(file, mapping(top['tls']), meaning(shown['host'], parseName, null)),
    dns: {
      upstreams: meanings(dns['upstreams'], parseUpstreamEntry, D.upstreams),
      forward: resolveForward(mapping(dns['forward'])),
      bootstrap: meanings(dns['bootstrap'], parseBootstrap),
      upstreamCa: resolveFile(file, meaning(dns['upstream_ca'], parseText, null)),
      // the records need the hosts file: check-local-names.ts adds them
      local: { records: [], authoritative: meanings(dns['authoritative'], parseName, D.authoritative) },
      // `block: null` without quotes is YAML's own null
      block: dns['block'] === null ? 'null' : word(dns['block'], ['nxdomain', 'null', 'page'], D.block),
      udp: word(dns['udp'], ['auto', 'batched', 'dgram'], D.udp),
      serve: meanings(dns['serve'], parseNetwork, D.serve),
      rateLimit: {
        qps: whole(rate['qps'], D.qps),
        exempt: meanings(rate['exempt'], parseNetwork, D.exempt),
      },
      cache: resolveCache(mapping(dns['cache'])),
      tunnel: {
        action: word(mapping(dns['tunnel'])['action'], ['limit', 'log', 'off'], D.tunnelAction),
        exempt: meanings(mapping(dns['tunnel'])['exempt'], parseName, D.exempt),
      },
    },
    proxy: { connectPorts: resolvePorts(mapping(top['proxy'])['connect_ports']) },
    allowPrivate: meanings(top['allow_private'], parseNameOrNetwork, D.allowPrivate),
    web: {
      public: {
        host: meaning(shown['host'], parseName, null),
        v4: meaning(shown['v4'], parseV4, null),
        v6: meaning(shown['v6'], parseV6, null),
      },
    },
    metrics: { allow: meanings(mapping(top['metrics'])['allow'], parseNetwork, D.metrics) },
    lists: list(top['blocklists']).map((entry) => resolveList(file, mapping(entry))),
    workers: resolveWorkers(top['workers'], cores),
    audit: {
      retention: {
        blockedMs: duration(retention['blocked'], D.blocked),
        allowedMs: duration(retention['allowed'], D.allowed),
      },
      maxBytes: meaning(audit['max_size'], parseSize, null) ?? meaning(D.maxSize, parseSize, 0),
      sync: word(audit['sync'], ['full', 'normal'], D.sync),
    },
  };
}

function resolveCache(cache: Raw): DnsCacheSettings {
  const leastTtl = whole(cache['min_ttl'], D.minTtl);
  return {
    maxBytes: meaning(cache['size'], parseCacheSize, null) ?? meaning(D.cacheSize, parseCacheSize, 0),
    leastTtl,
    mostTtl: Math.max(leastTtl, whole(cache['max_ttl'], D.maxTtl)),
    staleMs: cache['stale'] === 'off' ? 0 : duration(cache['stale'], D.stale),
    prefetch: typeof cache['prefetch'] === 'boolean' ? cache['prefetch'] : D.prefetch,
  };
}

function resolveTls(file: string, tls: Raw, publicHost: string | null): GatewayConfig['tls'] {
  const cert = meaning(tls['cert'], parseText, '');
  const key = meaning(tls['key'], parseText, '');
  if (cert === '' || key === '') return null;
  const path = (written: string): string => resolve(dirname(file), written);
  return { cert: path(cert), key: path(key), host: meaning(tls['host'], parseName, publicHost) };
}

function resolveProxyProtocol({ from, on }: Raw): GatewayConfig['listen']['proxyProtocol'] {
  const said = PROXY_PROTOCOL_ON.filter((word) => list(on).includes(word));
  return { from: meanings(from, parseNetwork), on: said.length > 0 ? said : D.proxyProtocolOn };
}

function resolveFile(file: string, written: string | null): string | null {
  return written === null ? null : resolve(dirname(file), written);
}

function resolveForward(forward: Raw): Record<string, AnyUpstream[]> {
  const found: [string, AnyUpstream[]][] = [];
  for (const [name, servers] of Object.entries(forward)) {
    const canonical = meaning(name, parseName, null);
    if (canonical !== null) found.push([canonical, meanings(servers, parseForwardUpstream)]);
  }
  return Object.fromEntries(found);
}

function resolvePorts(value: unknown): number[] | 'any' {
  if (value === 'any') return 'any';
  const ports = list(value).filter((port) => typeof port === 'number');
  return ports.length > 0 ? ports : [...D.connectPorts];
}

/** A list without its files: whoever looks at the disk adds them. */
function resolveList(file: string, entry: Raw): ListConfig {
  const source = meaning(entry['source'], parseText, '');
  const category = meaning(entry['category'], parseIdentifier, '');
  return {
    name: meaning(entry['name'], parseIdentifier, ''),
    category,
    sealed: category === 'illegal' || entry['sealed'] === true,
    format: word(entry['format'], LIST_FORMATS, D.format),
    match: word(entry['match'], ['format', 'suffix', 'exact'], D.match),
    source: source === '' ? '' : resolve(dirname(file), source),
    files: [],
  };
}

function resolveWorkers(value: unknown, cores: number): { dns: number; proxy: number } {
  const said = mapping(value);
  return { dns: whole(said['dns'], 1), proxy: whole(said['proxy'], Math.max(1, cores - 1)) };
}
