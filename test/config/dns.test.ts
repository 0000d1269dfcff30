// What the `dns` part of gateway.yaml must mean, and the words that are said when it does not.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { GATEWAY, messages, POLICY, writeFiles } from './support.ts';

function load(dns: string) {
  const dir = writeFiles({ 'gateway.yaml': `${GATEWAY}dns:\n  ${dns}\n`, 'policy.yaml': POLICY });
  const loaded = loadConfig(join(dir, 'gateway.yaml'), { cores: 4 });
  return { ok: loaded.ok, told: messages(loaded).join('\n') };
}

describe('the dns part of gateway.yaml', () => {
  it.each([
    ['serve: []', 'dns.serve: is empty, write a list of addresses or networks'],
    ['cache: { min_ttl: 600, max_ttl: 60 }', '5:21 dns.cache.min_ttl: min_ttl 600 is more than max_ttl 60'],
    ['cache: { stale: never }', 'or off'],
    ['cache: { stale: 5 }', 'or off'],
    ["forward: { '10.0.0.0/8': [10.0.0.2] }", '"10.0.0.0/8" is a network, not a name, write 10.in-addr.arpa'],
    ["forward: { '10.2.3.0/24': [10.0.0.2] }", 'write 3.2.10.in-addr.arpa'],
    ["forward: { '10.2.0.0/15': [10.0.0.2] }", 'such as 10.in-addr.arpa'],
    ["forward: { 'fd00::/8': [10.0.0.2] }", 'such as 10.in-addr.arpa'],
  ])('%s is refused', (dns, message) => {
    const { ok, told } = load(dns);
    expect(ok).toBe(false);
    expect(told).toContain(message);
  });

  it.each([
    ["upstreams: ['tls://9.9.9.9#dns.quad9.net', '149.112.112.112']", 'dns.upstreams'],
    ["upstreams: [system, 'https://9.9.9.9/dns-query#dns.quad9.net']", 'dns.upstreams'],
    ["forward: { a.example: ['tls://10.0.0.2#ns.a.example', 10.0.0.3] }", 'dns.forward.a.example'],
  ])('%s is warned of', (dns, key) => {
    const { ok, told } = load(dns);
    expect(ok).toBe(true);
    expect(told).toContain(
      `${key}: encrypted and plain servers together: the plain ones are asked in plain text`,
    );
  });

  it.each([
    "upstreams: ['tls://9.9.9.9#dns.quad9.net', 'tls://149.112.112.112#dns.quad9.net']",
    "upstreams: [system, '9.9.9.9']",
    'cache: { min_ttl: 60, max_ttl: 60, stale: off }',
    'forward: { 10.in-addr.arpa: [10.0.0.2] }',
  ])('%s is as it should be', (dns) => {
    expect(load(dns)).toEqual({ ok: true, told: '' });
  });
});
