// Safe search, restricted video and service records on a running gateway: by DNS for each type, by GET and by CONNECT.

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RecordType } from 'dns-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, events, signIn, type Person } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { GUEST, KS1, KS2, STAFF, startGateway, TEST_POLICY, type TestGateway } from '../support/gateway.ts';
import { fetchFrom, openTunnel } from '../support/web-client.ts';

const HTTPS = 'UNKNOWN_65' as RecordType;
const SVCB = 'UNKNOWN_64' as RecordType;
const SAFE = 'forcesafesearch.google.com';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let port: number;
let reader: Person;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const policy = structuredClone(TEST_POLICY) as any;
  policy.groups.staff.safe_search = 'off';
  policy.groups.staff.video = 'moderate';
  policy.groups.guests.safe_search = 'moderate';
  policy.groups.guests.https_records = 'deny';
  policy.groups.ks1.allow.push('www.google.com', 'kagi.com');
  // the engines themselves live where nothing listens, their safe forms where the origin does
  for (const name of ['www.google.com', 'www.google.co.uk', 'www.youtube.com', 'www.bing.com'])
    upstream.records.set(name, '127.0.0.66');
  upstream.records.set('restrictmoderate.youtube.com', '127.0.0.67');
  upstream.records.set('strict-safe-search.ecosia.org', null);
  upstream.aliases.set('strict.bing.com', 'edge.cdn.example');
  gateway = await startGateway({
    upstream: upstream.port,
    policy,
    gateway: { allow_private: ['127.0.0.0/8'] },
  });
  origin = http.createServer((request, response) => response.end(`safe ${request.headers.host}`));
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  port = (origin.address() as AddressInfo).port;
  await addAccount(gateway, 'cora', 'coordinator');
  reader = await signIn(gateway, 'cora');
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
});

const dns = (name: string, from: string, type: RecordType = 'A') =>
  askDns({ port: gateway.dns }, name, { from, type });

describe('F10 safe search by DNS', () => {
  it('F10 the alias and the addresses of the safe form, for every country and in any case of letters', async () => {
    for (const name of ['www.google.com', 'WWW.Google.co.uk']) {
      const { records } = await dns(name, KS2);
      expect(records.map(({ type, data }) => [type, data])).toEqual([
        ['CNAME', SAFE],
        ['A', '127.0.0.1'],
      ]);
      expect(records[0]!.name.toLowerCase()).toBe(name.toLowerCase());
      expect(records[1]!.name).toBe(SAFE);
    }
    const { records } = await dns('www.bing.com', KS2);
    expect(records.map(({ name, data }) => [name, data])).toEqual([
      ['www.bing.com', 'strict.bing.com'],
      ['strict.bing.com', '127.0.0.1'],
    ]);
  });

  it('F10 AAAA and HTTPS give the alias and no more, other types that could lead round it nothing', async () => {
    upstream.services.set('www.google.com', Buffer.from([0, 1, 0, 0, 4, 0, 4, 127, 0, 0, 66]));
    for (const type of ['AAAA' as const, HTTPS]) {
      const { rcode, records } = await dns('www.google.com', KS2, type);
      expect([rcode, records.map(({ data }) => data)]).toEqual(['NOERROR', [SAFE]]);
    }
    for (const type of ['CNAME' as const, SVCB]) {
      const { rcode, records } = await dns('www.google.com', KS2, type);
      expect([rcode, records]).toEqual(['NOERROR', []]);
    }
    expect(upstream.asked).not.toContain('www.google.com');
  });

  it('F10 look-alikes and the company’s other names are left alone', async () => {
    for (const name of ['www.google.com.evil.example', 'accounts.google.com', SAFE]) {
      const { records } = await dns(name, KS2);
      expect(records.map(({ name: owner, data }) => [owner.toLowerCase(), data])).toEqual([
        [name, '127.0.0.1'],
      ]);
    }
  });

  it('F10 each group its own answer, from the cache as from the upstream', async () => {
    for (let round = 0; round < 2; round++) {
      expect((await dns('www.google.com', KS2)).addresses).toEqual(['127.0.0.1']);
      expect((await dns('www.google.com', STAFF)).addresses).toEqual(['127.0.0.66']);
      expect((await dns('www.google.com', GUEST)).addresses).toEqual(['127.0.0.1']);
      expect((await dns('www.youtube.com', KS2)).addresses).toEqual(['127.0.0.1']);
      expect((await dns('www.youtube.com', STAFF)).addresses).toEqual(['127.0.0.67']);
    }
  });

  it('F10 it fails closed when the safe form cannot be found', async () => {
    const { rcode, addresses } = await dns('www.ecosia.org', KS2);
    expect([rcode, addresses]).toEqual(['SERVFAIL', []]);
  });

  it('F10 an allow list opens the engine, and still in its safe form', async () => {
    expect((await dns('www.google.com', KS1)).addresses).toEqual(['127.0.0.1']);
    expect((await dns('www.bing.com', KS1)).rcode).toBe('NXDOMAIN');
  });

  it('F10 F12 engines without a safe form are blocked for strict groups, unless an allow list names them', async () => {
    for (const name of ['search.yahoo.com', 'uk.search.yahoo.com', 'www.mojeek.com', 'yandex.ru']) {
      expect((await dns(name, KS2)).rcode).toBe('NXDOMAIN');
      expect((await dns(name, GUEST)).addresses).toEqual(['127.0.0.1']);
      expect((await dns(name, STAFF)).addresses).toEqual(['127.0.0.1']);
    }
    expect((await dns('kagi.com', KS1)).addresses).toEqual(['127.0.0.1']);
    expect((await dns('kagi.com', KS2)).rcode).toBe('NXDOMAIN');
  });
});

describe('F10 safe search in the proxy', () => {
  const get = (host: string, from: string) =>
    fetchFrom(`http://${host}:${port}/`, { proxy: gateway.proxy, from });

  it('F10 GET and CONNECT are led to the safe form', async () => {
    const page = await get('www.google.com', KS2);
    expect([page.status, page.body]).toEqual([200, `safe www.google.com:${port}`]);
    const tunnel = await openTunnel(gateway.proxy, `www.google.co.uk:${port}`, KS2);
    expect(tunnel.status).toBe(200);
    tunnel.socket.destroy();
  });

  it('F10 they fail closed when it cannot be found, and engines without one are blocked', async () => {
    expect((await get('www.ecosia.org', KS2)).status).toBe(502);
    expect((await openTunnel(gateway.proxy, 'www.ecosia.org:443', KS2)).status).toBe(502);
    expect((await get('search.yahoo.com', KS2)).status).toBe(403);
    expect((await get('search.yahoo.com', STAFF)).status).toBe(200);
  });

  it('F10 M01 both are in the log as rewritten, a block with its reason', async () => {
    for (const channel of ['dns', 'http'])
      expect((await events(reader, `host=www.google.com&channel=${channel}&group=ks2`))[0]).toMatchObject({
        action: 'rewrite',
        reason: 'safe-search',
      });
    expect((await events(reader, 'host=search.yahoo.com&group=ks2'))[0]).toMatchObject({
      action: 'block',
      reason: 'safe-search',
      category: 'search-unsafe',
    });
  });
});

describe('F12 records that hide which site is opened', () => {
  const ALPN = [0, 1, 0, 3, 2, 0x68, 0x32];
  const ECH = [0, 5, 0, 4, 1, 2, 3, 4];

  it('F12 HTTPS records lose their ech and nothing else; a group may have none at all', async () => {
    upstream.services.set('plain.example', Buffer.from([0, 1, 0, ...ALPN, ...ECH]));
    for (const from of [KS2, STAFF]) {
      const { records } = await dns('plain.example', from, HTTPS);
      expect(records.map(({ data }) => Buffer.from(data as Buffer))).toEqual([
        Buffer.from([0, 1, 0, ...ALPN]),
      ]);
    }
    const { rcode, records } = await dns('plain.example', GUEST, HTTPS);
    expect([rcode, records]).toEqual(['NOERROR', []]);
  });

  it('F12 the name that stands before hidden ones is blocked by DNS and CONNECT', async () => {
    expect((await dns('cloudflare-ech.com', KS2)).rcode).toBe('NXDOMAIN');
    expect((await openTunnel(gateway.proxy, 'cloudflare-ech.com:443', STAFF)).status).toBe(403);
  });

  it('F12 data carried in DNS is stopped, and the log says so', async () => {
    const made = (i: number): string =>
      `${String(i).padStart(4, '0')}${'0123456789abcdef'.repeat(3)}.t.example`;
    const own = await startGateway({
      upstream: upstream.port,
      gateway: {
        dns: {
          upstreams: [`127.0.0.1:${upstream.port}`],
          serve: ['127.0.0.0/8'],
          rate_limit: { qps: 100_000, exempt: [] },
        },
      },
    });
    try {
      let through = 0;
      while (
        through < 1_000 &&
        (await askDns({ port: own.dns }, made(through), { from: STAFF })).rcode === 'NOERROR'
      )
        through++;
      expect(through).toBeGreaterThan(50);
      expect(through).toBeLessThan(400);
      await addAccount(own, 'cora', 'coordinator');
      const someone = await signIn(own, 'cora');
      const [row] = await events(someone, `host=${made(through)}`);
      expect(row).toMatchObject({ action: 'block', reason: 'tunnel' });
    } finally {
      await own.dispose();
    }
  });
});
