// A name that is an alias of a blocked one is as blocked as the other: by DNS, by GET and by CONNECT, on a running gateway.

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, events, signIn, type Person } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS1, KS2, STAFF, startGateway, TEST_POLICY, type TestGateway } from '../support/gateway.ts';
import { fetchFrom, openTunnel } from '../support/web-client.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let port: number;
let asked = 0;
let reader: Person;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const policy = structuredClone(TEST_POLICY) as any;
  policy.groups.pupils.bypass = 'block';
  policy.groups.ks2.allow = ['cloak-sealed.example', 'cloak-allowed.example'];
  gateway = await startGateway({
    upstream: upstream.port,
    policy,
  });
  origin = http.createServer((_request, response) => {
    asked++;
    response.end('content');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  port = (origin.address() as AddressInfo).port;
  const alias = (from: string, ...to: string[]) => {
    let last = from;
    for (const next of to) {
      upstream.aliases.set(last, next);
      last = next;
    }
  };
  alias('innocent.example', 'sealed.example');
  alias('deep.example', 'edge.cdn.example', 'eu.edge.cdn.example', 'www.sealed.example');
  alias('cloak-sealed.example', 'sealed.example');
  alias('cloak-games.example', 'games.example');
  alias('cloak-allowed.example', 'games.example');
  alias('cloak-relay.example', 'dns.google');
  alias('garden.example', 'unlisted-cdn.example');
  alias('plain.example', 'open-cdn.example');
  await addAccount(gateway, 'cora', 'coordinator');
  reader = await signIn(gateway, 'cora');
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
});

/** What each of the three ways says of a name; `fetched` counts what the site was asked meanwhile. */
async function ways(name: string, from: string) {
  const before = asked;
  const answer = await askDns({ port: gateway.dns }, name, { from });
  const page = await fetchFrom(`http://${name}:${port}/`, { proxy: gateway.proxy, from });
  const tunnel = await openTunnel(gateway.proxy, `${name}:${port}`, from);
  tunnel.socket.destroy();
  return { dns: answer.addresses, get: page.status, connect: tunnel.status, fetched: asked - before };
}
const CLOSED = { dns: [], get: 403, connect: 403, fetched: 0 };
const OPEN = { dns: ['127.0.0.1'], get: 200, connect: 200, fetched: 1 };

describe('aliases of blocked names', () => {
  it.each(['innocent.example', 'deep.example'])(
    'F02 F12 %s, an alias of a sealed name, is blocked by DNS, GET and CONNECT for everyone',
    async (name) => {
      for (const from of [KS2, STAFF]) expect(await ways(name, from)).toEqual(CLOSED);
    },
  );

  it('F02 F12 allowing the alias does not open the sealed name by DNS, GET or CONNECT', async () => {
    expect(await ways('cloak-sealed.example', KS2)).toEqual(CLOSED);
  });

  it('F03 F12 an alias of a name in a blocked category is blocked for those it is blocked for', async () => {
    expect(await ways('cloak-games.example', KS2)).toEqual(CLOSED);
    expect(await ways('cloak-games.example', STAFF)).toEqual(OPEN);
  });

  it('F12 an alias of a public resolver is blocked by DNS, GET and CONNECT', async () => {
    expect(await ways('cloak-relay.example', KS2)).toEqual(CLOSED);
  });

  it('F08 an allowed name brings what its chain needs, and an open one passes names that no list knows', async () => {
    expect(await ways('cloak-allowed.example', KS2)).toEqual(OPEN);
    expect(await ways('garden.example', KS1)).toEqual(OPEN);
    expect(await ways('plain.example', KS2)).toEqual(OPEN);
  });

  it('F02 F12 M01 the block is in the log under the name asked for, with the list that decided', async () => {
    for (const [channel, method] of [
      ['dns', 'A'],
      ['http', 'GET'],
      ['connect', 'CONNECT'],
    ]) {
      const [row] = await events(reader, `host=innocent.example&channel=${channel}&group=staff`);
      expect(row).toMatchObject({
        client: STAFF,
        qtype_or_method: method,
        action: 'block',
        reason: 'illegal',
        list: 'sealed',
        category: 'illegal',
      });
    }
    const page = await fetchFrom(`http://innocent.example:${port}/`, { proxy: gateway.proxy, from: KS2 });
    expect(page.body).toContain('This site is not open here');
  });

  it('F02 F12 a tunnel opened under an alias ends when the name behind it is sealed later', async () => {
    const tunnel = await openTunnel(gateway.proxy, `plain.example:${port}`, STAFF);
    expect(tunnel.status).toBe(200);
    gateway.writeList('sealed', ['sealed.example', 'open-cdn.example']);
    gateway.signal('SIGHUP');
    await tunnel.closed;
    expect(await ways('plain.example', STAFF)).toEqual(CLOSED);
  });
});
