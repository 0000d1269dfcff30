// What the upstreams of gateway.yaml must mean together: none is the gateway itself, each can be found, the authorities can be read.
// It looks at the disk for the file of authorities, and at nothing else.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mapping, placedMeanings } from './raw.ts';
import { parseUpstreamEntry } from './upstreams.ts';
import { isOurselves } from '../resolver/upstreams.ts';
import type { AnyUpstream } from '../resolver/types.ts';
import type { Finding, GatewayConfig, KeyPath } from './types.ts';

const ADVICE_BOOTSTRAP =
  'write bootstrap: ["9.9.9.9"] beside it, or the address as well, as in tls://9.9.9.9#';

export function checkUpstreams(data: unknown, config: GatewayConfig): Finding[] {
  const dns = mapping(mapping(data)['dns']);
  const { upstreams, bootstrap } = config.dns;
  const findable = bootstrap.length > 0 || upstreams.some((one) => one === 'system' || !('kind' in one));
  const check = (value: 'system' | AnyUpstream, path: KeyPath): Finding[] => {
    if (value === 'system') return [];
    // A query that is sent to the gateway itself would go round for ever.
    if (isOurselves(value, config.listen.dns, [])) {
      return [wrong(path, 'this is the gateway itself', 'write the server that it should ask')];
    }
    if ('kind' in value && value.addresses.length === 0 && !findable) {
      return [wrong(path, `nobody can be asked where ${value.host} is`, `${ADVICE_BOOTSTRAP}${value.host}`)];
    }
    return [];
  };
  const checkAll = (servers: unknown, path: KeyPath): Finding[] =>
    placedMeanings(servers, parseUpstreamEntry, []).flatMap(({ value, index }) =>
      check(value, [...path, index]),
    );
  return [
    ...checkAll(dns['upstreams'], ['dns', 'upstreams']),
    ...checkAll(dns['bootstrap'], ['dns', 'bootstrap']),
    ...Object.entries(mapping(dns['forward'])).flatMap(([name, servers]) =>
      checkAll(servers, ['dns', 'forward', name]),
    ),
    ...checkMixture(upstreams, ['dns', 'upstreams']),
    ...Object.entries(config.dns.forward).flatMap(([name, servers]) =>
      checkMixture(servers, ['dns', 'forward', name]),
    ),
    ...checkAuthorities(config.dns.upstreamCa),
  ];
}

/** Who writes encrypted servers may not expect that a plain one beside them is ever asked. */
function checkMixture(servers: readonly ('system' | AnyUpstream)[], path: KeyPath): Finding[] {
  const encrypted = servers.filter((one) => one !== 'system' && 'kind' in one);
  if (encrypted.length === 0 || encrypted.length === servers.length) return [];
  return [
    {
      ...wrong(
        path,
        'encrypted and plain servers together: the plain ones are asked in plain text when the encrypted do not answer',
        'leave the plain ones out, or keep them if an answer matters more',
      ),
      level: 'warning',
    },
  ];
}

function checkAuthorities(file: string | null): Finding[] {
  if (file === null) return [];
  const path = ['dns', 'upstream_ca'];
  try {
    new X509Certificate(readFileSync(file));
    return [];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const problem = code === 'ENOENT' ? `there is no file ${file}` : `${file} holds no certificate`;
    return [wrong(path, problem, 'write a file that begins with -----BEGIN CERTIFICATE-----')];
  }
}

function wrong(path: KeyPath, problem: string, advice: string): Finding {
  return { path, at: 'value', level: 'error', problem, advice };
}
