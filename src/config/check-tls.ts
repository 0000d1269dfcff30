// What encrypted DNS needs in gateway.yaml: a certificate with its key, and forwarders that are really in front of something.

import { isNameOf, isWorldReadable, readCertificate } from './certificate.ts';
import { mapping } from './raw.ts';
import type { Finding, GatewayConfig, KeyPath } from './types.ts';

const wrong = (path: KeyPath, problem: string, advice: string): Finding => ({
  path,
  at: 'value',
  level: 'error',
  problem,
  advice,
});

/** The mistakes of meaning in `tls`, `listen.dot`, `listen.doh` and `listen.proxy_protocol`. */
export function checkTls(data: unknown, config: GatewayConfig): Finding[] {
  const findings: Finding[] = [];
  const { listen, tls } = config;
  const written = mapping(mapping(data)['tls']);
  for (const part of ['dot', 'doh'] as const) {
    if (listen[part].length > 0 && tls === null && mapping(data)['tls'] === undefined)
      findings.push(
        wrong(
          ['listen', part],
          'needs a certificate',
          'write tls: { cert: gateway.crt, key: gateway.key }, with the paths of its files',
        ),
      );
  }
  for (const on of listen.proxyProtocol.on) {
    const part = on === 'dns-tcp' ? 'dns' : on;
    if (
      listen[part].length === 0 &&
      Array.isArray(mapping(mapping(mapping(data)['listen'])['proxy_protocol'])['on'])
    )
      findings.push(
        wrong(
          ['listen', 'proxy_protocol', 'on'],
          `nothing listens for ${on}`,
          `write listen.${part}, or leave ${on} out`,
        ),
      );
  }
  if (tls === null) return findings;
  const read = readCertificate(tls.cert, tls.key);
  if (!read.ok) findings.push(wrong(['tls', read.part], read.problem, read.advice));
  else if (isWorldReadable(tls.key))
    findings.push({
      ...wrong(['tls', 'key'], `everyone on this machine may read ${tls.key}`, `run chmod o= ${tls.key}`),
      level: 'warning',
    });
  if (read.ok && tls.host !== null && !isNameOf(read.value.cert, tls.host))
    findings.push({
      ...wrong(
        written['host'] === undefined ? ['tls', 'cert'] : ['tls', 'host'],
        `${tls.cert} is not a certificate for ${tls.host}, so clients that check it refuse the gateway`,
        'write a name that is in it, or have one made for this name',
      ),
      level: 'warning',
    });
  const offered = listen.dot.length > 0 || listen.doh.length > 0;
  if (offered && tls.host === null && written['host'] === undefined)
    findings.push({
      path: ['tls'],
      at: 'key',
      level: 'warning',
      problem: 'has no name, so no client can be known by its id over DoT',
      advice: 'write host: and the name in the certificate, for example gateway.example.sch.uk',
    });
  return findings;
}
