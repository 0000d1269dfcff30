// A started gateway asked over DoT and DoH by the programs that people have: kdig, curl, dig by TCP.

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { otherCertificate, testAuthority, testCertificate, testKey } from '../support/certificate.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS1, STAFF, STRANGER, TEST_POLICY, startGateway, type TestGateway } from '../support/gateway.ts';
import { run } from './programs.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let authority: string;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({
    upstream: upstream.port,
    policy: {
      ...TEST_POLICY,
      clients: [...TEST_POLICY.clients, { name: 'head', match: ['id:quiet-otter'], group: 'staff' }],
    },
    files: { 'dns.crt': testCertificate, 'dns.key': testKey },
    gateway: {
      listen: {
        dns: ['127.0.0.1:0'],
        dot: ['127.0.0.1:0'],
        doh: ['127.0.0.1:0'],
        proxy: ['127.0.0.1:0'],
        web: ['127.0.0.1:0'],
      },
      tls: { cert: 'dns.crt', key: 'dns.key', host: 'dns.test' },
    },
  });
  authority = join(gateway.dir, 'authority.pem');
  writeFileSync(authority, testAuthority);
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const kdig = (from: string, port: number, ...args: string[]) =>
  run('kdig', ['@127.0.0.1', '-p', String(port), '-b', from, '+retry=0', '+timeout=5', ...args]);
const trust = () => [`+tls-ca=${authority}`, '+tls-hostname=dns.test'];

describe('kdig and curl', () => {
  it('F01 kdig +tls: blocked for a class, open for staff, padded', async () => {
    const blocked = await kdig(KS1, gateway.dot, '+tls', ...trust(), 'games.example');
    expect(blocked.stdout).toContain('status: NXDOMAIN');
    expect(blocked.stdout).toContain('PADDING');
    expect((await kdig(STAFF, gateway.dot, '+tls', ...trust(), 'games.example')).stdout).toContain(
      '127.0.0.1',
    );
  });

  it('F01 kdig +https: GET and POST', async () => {
    for (const asked of [['+https'], ['+https', '+https-get']]) {
      const blocked = await kdig(KS1, gateway.doh, ...asked, ...trust(), 'games.example');
      expect(blocked.stdout).toContain('status: NXDOMAIN');
      const open = await kdig(STAFF, gateway.doh, ...asked, ...trust(), 'games.example');
      expect(open.stdout).toContain('status: NOERROR');
    }
  });

  it('F01 F07 a client id in the path or in the server name decides before the network', async () => {
    const byPath = await kdig(
      STRANGER,
      gateway.doh,
      '+https=/dns-query/quiet-otter',
      ...trust(),
      'games.example',
    );
    expect(byPath.stdout).toContain('status: NOERROR');
    const unknown = await kdig(
      STRANGER,
      gateway.doh,
      '+https=/dns-query/nobody',
      ...trust(),
      'games.example',
    );
    expect(unknown.stdout).toContain('status: NXDOMAIN');
    // The test certificate has no wildcard for this name: what is sent is what is looked at here.
    const byName = await kdig(
      STRANGER,
      gateway.dot,
      '+tls',
      '+tls-sni=quiet-otter.dns.test',
      'games.example',
    );
    expect(byName.stdout).toContain('status: NOERROR');
  });

  it('clients are told of both by the names of RFC 9462', async () => {
    const args = ['@127.0.0.1', '-p', String(gateway.dns), '-b', KS1, '_dns.resolver.arpa', 'TYPE64'];
    const { stdout } = await run('dig', args);
    expect(stdout).toMatch(/SVCB\s+1 dns\.test\. alpn="dot" port=\d+ ipv4hint=127\.0\.0\.1/);
    expect(stdout).toMatch(/SVCB\s+2 dns\.test\. alpn="h2" port=\d+ .*\/dns-query\{\?dns\}/);
  });

  it('the host of the certificate is found by everyone, as private DNS needs it', async () => {
    for (const from of [KS1, STRANGER]) {
      const { stdout } = await run('dig', [
        '@127.0.0.1',
        '-p',
        String(gateway.dns),
        '-b',
        from,
        'dns.test',
        '+short',
      ]);
      expect(stdout.trim()).toBe('127.0.0.1');
    }
  });

  it('dig +tcp: many on one connection', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `n${i}.allowed.example`);
    const args = [
      '@127.0.0.1',
      '-p',
      String(gateway.dns),
      '-b',
      STAFF,
      '+tcp',
      '+keepopen',
      '+short',
      ...names,
    ];
    expect((await run('dig', args)).stdout.trim().split('\n')).toEqual(names.map(() => '127.0.0.1'));
  });

  it('curl --doh-url finds its way by the gateway', async () => {
    const url = `https://127.0.0.1:${gateway.doh}/dns-query/quiet-otter`;
    const args = ['-sS', '-v', '--max-time', '5', '--cacert', authority, '--doh-url', url];
    const answer = await run('curl', [...args, `http://curl.allowed.example:${gateway.web}/health`]);
    expect(answer.stderr).toContain('127.0.0.1');
    expect(upstream.asked).toContain('curl.allowed.example');
  });

  it('a new certificate is shown after SIGHUP, and a broken one is refused', async () => {
    const put = (text: string) => {
      writeFileSync(join(gateway.dir, 'dns.crt'), text);
      chmodSync(join(gateway.dir, 'dns.crt'), 0o600);
    };
    put('no certificate');
    gateway.signal('SIGHUP');
    await gateway.waitForLog(({ msg }) => msg.includes('holds no certificate'));
    expect((await kdig(STAFF, gateway.dot, '+tls', ...trust(), 'allowed.example')).stdout).toContain(
      'NOERROR',
    );
    put(otherCertificate);
    gateway.signal('SIGHUP');
    await gateway.waitForLog(({ msg }) => msg === 'reloaded');
    const other = [`+tls-ca=${authority}`, '+tls-hostname=other.test'];
    expect((await kdig(STAFF, gateway.dot, '+tls', ...other, 'allowed.example')).stdout).toContain('NOERROR');
    expect((await kdig(STAFF, gateway.doh, '+https', ...other, 'allowed.example')).stdout).toContain(
      'NOERROR',
    );
  });
});
