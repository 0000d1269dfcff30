// Names of the school's own in gateway.yaml and in a hosts file: what they come to, and every mistake with its place.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { GATEWAY, messages, POLICY, writeFiles } from './support.ts';

/** Loads a good gateway.yaml with this `dns` part; `hosts` goes to the file `hosts` beside it. */
function load(dns: string, hosts?: string) {
  const dir = writeFiles({
    'gateway.yaml': `${GATEWAY}dns:\n${dns}\n`,
    'policy.yaml': POLICY,
    ...(hosts !== undefined && { hosts }),
  });
  return loadConfig(join(dir, 'gateway.yaml'), { cores: 4 });
}

function recordsOf(dns: string, hosts?: string): string[] {
  const loaded = load(dns, hosts);
  if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
  return loaded.config.dns.local.records.map(
    ({ name, type, value, ttl, origin }) => `${name} ${ttl} ${type} ${value} ${origin}`,
  );
}

const mistakes = (dns: string, hosts?: string): string[] => messages(load(dns, hosts));

describe('records in gateway.yaml', () => {
  it('are addresses, lists of them, or records by type', () => {
    expect(
      recordsOf(`  records:
    Printer.inside.example: 10.0.0.9
    intranet.inside.example: [10.0.0.5, "FD00:0::5"]
    www.inside.example: { cname: intranet.inside.example, ttl: 300 }
    inside.example: { mx: ["10 Mail.inside.example", "20 ."], txt: "v=spf1 -all" }
    _ldap._tcp.inside.example: { srv: "0 100 389 dc1.inside.example" }
    "*.apps.inside.example": { a: 10.0.0.6, aaaa: "fd00::6" }
    10.0.0.77: { ptr: scanner.inside.example }
    "fd00::77": { ptr: scanner.inside.example }
    bücher.inside.example: 10.0.0.8`),
    ).toEqual([
      'printer.inside.example 60 A 10.0.0.9 file',
      'intranet.inside.example 60 A 10.0.0.5 file',
      'intranet.inside.example 60 AAAA fd00::5 file',
      'www.inside.example 300 CNAME intranet.inside.example file',
      'inside.example 60 MX 10 mail.inside.example file',
      'inside.example 60 MX 20 . file',
      'inside.example 60 TXT v=spf1 -all file',
      '_ldap._tcp.inside.example 60 SRV 0 100 389 dc1.inside.example file',
      '*.apps.inside.example 60 A 10.0.0.6 file',
      '*.apps.inside.example 60 AAAA fd00::6 file',
      '77.0.0.10.in-addr.arpa 60 PTR scanner.inside.example file',
      `7.7.${'0.'.repeat(26)}0.0.d.f.ip6.arpa 60 PTR scanner.inside.example file`,
      'xn--bcher-kva.inside.example 60 A 10.0.0.8 file',
    ]);
  });

  it.each([
    ['a.example: 10.0.0.900', '6:16 dns.records.a.example: "10.0.0.900" is not an IPv4 address'],
    ['a.example: [10.0.0.1, x]', '6:27 dns.records.a.example[1]: "x" is not an IPv4 address'],
    ['a.example: { a: "fd00::1" }', '6:21 dns.records.a.example.a: "fd00::1" is not an IPv4 address'],
    ['a.example: 7', '6:16 dns.records.a.example: is 7, which it cannot be'],
    ['a.example: {}', '6:16 dns.records.a.example: has no record'],
    ['a.example: { ttl: 5 }', '6:16 dns.records.a.example: has no record'],
    ['a.example: { ttl: -5, a: 10.0.0.1 }', '6:23 dns.records.a.example.ttl: -5 is too small'],
    ['a.example: { host: x }', '6:18 dns.records.a.example.host: there is no such key'],
    ['"a b.example": 10.0.0.1', '6:5 dns.records.a b.example: "a b.example" is not a host name'],
    [
      '"http://a.example": 10.0.0.1',
      '6:5 dns.records.http://a.example: "http://a.example" is not a host name',
    ],
    ['localhost: 10.0.0.1', '6:5 dns.records.localhost: localhost has the same answer everywhere'],
    ['10.0.0.1: 10.0.0.2', '6:5 dns.records.10.0.0.1: "10.0.0.1" is an address, which has no A record'],
    [
      '1.0.0.10.in-addr.arpa: 10.0.0.2',
      '6:5 dns.records.1.0.0.10.in-addr.arpa: 1.0.0.10.in-addr.arpa is the name of an address',
    ],
    ['a.example: { mx: mail.example }', '6:22 dns.records.a.example.mx: "mail.example" is not an MX record'],
    [
      'a.example: { srv: "1 2 99999 b.example" }',
      '6:23 dns.records.a.example.srv: "1 2 99999 b.example" is not an SRV record',
    ],
    [
      'a.example: { cname: outside.example }',
      '6:25 dns.records.a.example.cname: outside.example is not a local name',
    ],
    ['a.example: { cname: a.example }', '6:25 dns.records.a.example.cname: a.example leads back to itself'],
    ['a.example: [10.0.0.1, 10.0.0.1]', '6:27 dns.records.a.example[1]: a.example has this A record already'],
    [
      'a.example: { a: 10.0.0.1, cname: b.example }',
      '6:38 dns.records.a.example.cname: a.example has other records beside this CNAME',
    ],
  ])('%s is refused with its place', (line, message) => {
    expect(mistakes(`  records:\n    ${line}`).join('\n')).toContain(message);
  });

  it('finds a CNAME that goes round through others, and names that differ only in case', () => {
    const found = mistakes(`  records:
    a.example: { cname: b.example }
    b.example: { cname: a.example }
    c.example: 10.0.0.1
    C.example: 10.0.0.1`);
    expect(found.join('\n')).toContain('a.example leads back to itself');
    expect(found.join('\n')).toContain('9:16 dns.records.C.example: c.example has this A record already');
    expect(mistakes('  records:\n    c.example: 10.0.0.1\n    C.example: 10.0.0.2').join('\n')).toContain(
      '7:5 dns.records.C.example: is the same name as c.example, write what it has under c.example',
    );
  });
});

describe('zones', () => {
  it('are names of the school', () => {
    const loaded = load('  authoritative: [Inside.example, home.arpa, 10.in-addr.arpa, lan]');
    if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
    expect(loaded.config.dns.local.authoritative).toEqual([
      'inside.example',
      'home.arpa',
      '10.in-addr.arpa',
      'lan',
    ]);
  });

  it.each([
    ['[co.uk]', 'every site below co.uk would be gone'],
    ['[com]', 'every site below com would be gone'],
    ['[in-addr.arpa]', 'every site below in-addr.arpa would be gone'],
    [
      '[known.example]\n  forward: { known.example: [10.0.0.2] }',
      'known.example is forwarded to other servers too',
    ],
    ['["10.0.0.0/8"]', '"10.0.0.0/8" is a network, not a name, write 10.in-addr.arpa'],
  ])('%s is refused', (zones, message) => {
    expect(mistakes(`  authoritative: ${zones}`).join('\n')).toContain(message);
  });
});

describe('a hosts file', () => {
  const DNS = `  hosts_file: hosts
  records: { printer.inside.example: 10.0.0.9, www.inside.example: { cname: nas.inside.example } }`;

  it('brings names; gateway.yaml wins; the lines of the machine itself are left out', () => {
    expect(
      recordsOf(
        DNS,
        `\ufeff127.0.0.1 localhost
127.0.1.1 myhost
::1 ip6-localhost
ff02::1 ip6-allnodes
0.0.0.0 ads.example
# a comment
10.0.0.1\tprinter.inside.example  # the old one
10.0.0.2   NAS.inside.example nas\r
10.0.0.2 nas
fd00::2 nas
`,
      ),
    ).toEqual([
      'printer.inside.example 60 A 10.0.0.9 file',
      'www.inside.example 60 CNAME nas.inside.example file',
      'nas.inside.example 60 A 10.0.0.2 hosts',
      'nas 60 A 10.0.0.2 hosts',
      'nas 60 AAAA fd00::2 hosts',
    ]);
  });

  it.each([
    [
      '10.0.0.900 nas\n',
      'left out hosts:1: "10.0.0.900" is not an address, write an address, then its names',
    ],
    ['\n10.0.0.9\n', 'left out hosts:2: there is no name after the address'],
    ['10.0.0.9 na/s ok\nx\n', 'left out hosts:1: "na/s" is not a host name; hosts:2: "x" is not an address'],
    ['x\n'.repeat(7), 'hosts:5: "x" is not an address; and 2 more'],
  ])('is used without the lines that are wrong, and they are told: %j', (text, message) => {
    const loaded = load('  hosts_file: hosts', `${text}10.0.0.2 nas.inside.example\n`);
    if (!loaded.ok) throw new Error(messages(loaded).join('\n'));
    expect(messages(loaded)).toEqual([expect.stringContaining('5:15 dns.hosts_file: left out hosts:')]);
    expect(messages(loaded)[0]).toContain(message);
    expect(loaded.config.dns.local.records.map(({ name }) => name)).toContain('nas.inside.example');
  });

  it('is refused when it is not there', () => {
    const loaded = load('  hosts_file: hosts');
    expect(loaded.ok).toBe(false);
    expect(messages(loaded)).toEqual([
      expect.stringContaining('5:15 dns.hosts_file: there is no file hosts'),
    ]);
  });

  it('is no place for a list of sites to block', () => {
    const lines = Array.from({ length: 10_001 }, (_, n) => `10.0.0.1 ads-${n}.example`).join('\n');
    expect(mistakes('  hosts_file: hosts', lines).join('\n')).toContain(
      'put lists of sites to block under blocklists',
    );
    expect(mistakes('  hosts_file: hosts', '#'.repeat(2_000_001)).join('\n')).toContain(
      'is larger than 2 MB',
    );
  });

  it('is a file', () => {
    expect(mistakes('  hosts_file: .').join('\n')).toContain('is not a file');
  });
});
