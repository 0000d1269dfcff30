// A name that leads to a listed address is as blocked as the address: by DNS, by GET and by CONNECT, on a running gateway.

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, events, signIn, type Person } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS2, STAFF, startGateway, TEST_LISTS, TEST_POLICY, type TestGateway } from '../support/gateway.ts';
import { fetchFrom, openTunnel } from '../support/web-client.ts';

const RESOLVER = '127.0.0.66';
const SEALED = '127.0.0.67';
const PLAIN = '127.0.0.68';
const LATER = '127.0.0.69';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let port: number;
let opened = 0;
let reader: Person;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const policy = structuredClone(TEST_POLICY) as any;
  policy.groups.pupils.ratings.resolvers = 'unacceptable';
  policy.groups.staff.ratings.resolvers = 'acceptable';
  policy.groups.ks2.allow = ['needed.example', 'needed-sealed.example'];
  gateway = await startGateway({
    upstream: upstream.port,
    policy,
    gateway: { allow_private: ['127.0.0.0/8'] },
    lists: {
      ...TEST_LISTS,
      addresses: { category: 'resolvers', names: ['# resolvers', `${RESOLVER} # one`, '192.0.2.0/24'] },
      police: { category: 'illegal', names: [`${SEALED}-${SEALED}`] },
    },
  });
  origin = http.createServer((_request, response) => response.end('content'));
  // a connection may be one that the proxy kept, so requests count as well
  for (const sign of ['connection', 'request']) origin.on(sign, () => opened++);
  await new Promise<void>((resolve) => origin.listen(0, '0.0.0.0', resolve));
  port = (origin.address() as AddressInfo).port;
  for (const [name, address] of Object.entries({
    'innocent.example': RESOLVER,
    'needed.example': RESOLVER,
    'sealed-address.example': SEALED,
    'needed-sealed.example': SEALED,
    'plain.example': PLAIN,
    'later.example': LATER,
    'end.example': RESOLVER,
  }))
    upstream.records.set(name, address);
  upstream.aliases.set('alias.example', 'end.example');
  await addAccount(gateway, 'cora', 'coordinator');
  reader = await signIn(gateway, 'cora');
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
});

/** What GET and CONNECT say of a host; `opened`: the site heard something meanwhile. */
async function byProxy(host: string, from: string) {
  const before = opened;
  const page = await fetchFrom(`http://${host}:${port}/`, { proxy: gateway.proxy, from });
  const answered = opened;
  const tunnel = await openTunnel(gateway.proxy, `${host}:${port}`, from);
  // The system accepts a connection before this process hears of it: it must not be counted as the next one's.
  if (tunnel.status === 200) await expect.poll(() => opened).toBeGreaterThan(answered);
  tunnel.socket.destroy();
  return { get: page.status, connect: tunnel.status, opened: opened > before };
}
const byDns = async (name: string, from: string) =>
  (await askDns({ port: gateway.dns }, name, { from })).addresses;
const CLOSED = { get: 403, connect: 403, opened: false };
const OPEN = { get: 200, connect: 200, opened: true };

describe('names that lead to listed addresses', () => {
  it.each(['innocent.example', 'alias.example'])(
    'F03 F12 %s is blocked by DNS, GET and CONNECT for those who may not have the address, and nothing is opened',
    async (name) => {
      expect(await byDns(name, KS2)).toEqual([]);
      expect(await byProxy(name, KS2)).toEqual(CLOSED);
    },
  );

  it('F03 F12 it is open to those who may have the address', async () => {
    expect(await byDns('innocent.example', STAFF)).toEqual([RESOLVER]);
    expect(await byProxy('innocent.example', STAFF)).toEqual(OPEN);
  });

  it('F02 F12 a sealed address is blocked for everyone, even under an allowed name', async () => {
    for (const [name, from] of [
      ['sealed-address.example', STAFF],
      ['sealed-address.example', KS2],
      ['needed-sealed.example', KS2],
    ] as const) {
      expect(await byDns(name, from)).toEqual([]);
      expect(await byProxy(name, from)).toEqual(CLOSED);
    }
  });

  it('F08 an allowed name brings the address it needs', async () => {
    expect(await byDns('needed.example', KS2)).toEqual([RESOLVER]);
    expect(await byProxy('needed.example', KS2)).toEqual(OPEN);
  });

  it('F01 an address that no list holds changes nothing', async () => {
    expect(await byDns('plain.example', KS2)).toEqual([PLAIN]);
    expect(await byProxy('plain.example', KS2)).toEqual(OPEN);
  });

  it('F03 F12 the address itself is blocked by category when it is asked for instead of a name', async () => {
    expect(await byProxy(RESOLVER, KS2)).toEqual(CLOSED);
    expect(await byProxy(RESOLVER, STAFF)).toEqual(OPEN);
    expect(await byProxy(SEALED, STAFF)).toEqual(CLOSED);
    expect(await byProxy(PLAIN, KS2)).toEqual(OPEN);
  });

  it('F02 F12 M01 the block is in the log under the name asked for, with the list that decided', async () => {
    for (const channel of ['dns', 'http', 'connect']) {
      const [row] = await events(reader, `host=innocent.example&channel=${channel}&group=ks2`);
      expect(row).toMatchObject({
        client: KS2,
        action: 'block',
        reason: 'unacceptable',
        list: 'addresses',
        category: 'resolvers',
      });
    }
  });

  it('F02 F12 a tunnel ends when its address is listed later, and DNS follows', async () => {
    expect(await byDns('later.example', KS2)).toEqual([LATER]);
    const tunnel = await openTunnel(gateway.proxy, `later.example:${port}`, KS2);
    expect(tunnel.status).toBe(200);
    gateway.writeList('addresses', ['127.0.0.69/32']);
    gateway.signal('SIGHUP');
    await tunnel.closed;
    expect(await byProxy('later.example', KS2)).toEqual(CLOSED);
    await expect.poll(() => byDns('later.example', KS2)).toEqual([]);
  });
});
