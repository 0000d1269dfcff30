// The school's own names on a running gateway: answered for everyone, from files and from the command line, in force at
// once, kept over a restart, reached through the proxy only where the school says so.

import http from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { GUEST, KS1, STAFF, STRANGER, startGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { fetchFrom } from '../support/web-client.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let site: http.Server;
let port: number;

const DNS = {
  serve: ['127.0.0.0/8'],
  rate_limit: { qps: 300, exempt: ['127.0.0.0/8'] },
  records: {
    'printer.inside.example': '10.0.0.9',
    'intranet.inside.example': '127.0.0.1',
    'www.inside.example': { cname: 'intranet.inside.example' },
    'games.example': '10.0.0.1',
    'sealed.example': '10.0.0.2',
    'tv.local': '10.0.0.3',
  },
  authoritative: ['inside.example'],
  hosts_file: 'hosts',
};

beforeAll(async () => {
  upstream = await startFakeUpstream('192.0.2.1');
  site = http.createServer((_request, response) => response.end('the intranet')).listen(0, '127.0.0.1');
  await once(site, 'listening');
  ({ port } = site.address() as AddressInfo);
  gateway = await startGateway({ upstream: upstream.port });
  writeFileSync(join(gateway.dir, 'hosts'), '10.0.0.20 nas.inside.example nas\n');
  gateway.writeGateway({ dns: { ...DNS, upstreams: [`127.0.0.1:${upstream.port}`] } });
  await reload();
}, 60_000);

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  site?.close();
});

async function reload(): Promise<void> {
  const seen = gateway.log.filter(({ msg }) => msg === 'reloaded').length;
  gateway.signal('SIGHUP');
  await gateway.waitForLog(() => gateway.log.filter(({ msg }) => msg === 'reloaded').length > seen);
}

const ask = (name: string, type = 'A', from = KS1) =>
  askDns({ port: gateway.dns }, name, { type: type as 'A', from });

describe("names of the school's own", () => {
  it('F02: what a list says of the very name stays so', async () => {
    expect((await ask('games.example', 'A', KS1)).addresses).toEqual([]);
    expect((await ask('games.example', 'A', STAFF)).addresses).toEqual(['10.0.0.1']);
  });

  it.each([KS1, GUEST, STAFF, STRANGER])('are answered for %s, whatever its group may see', async (from) => {
    expect((await ask('printer.inside.example', 'A', from)).addresses).toEqual(['10.0.0.9']);
    expect((await ask('nas.inside.example', 'A', from)).addresses).toEqual(['10.0.0.20']);
    expect((await ask('tv.local', 'A', from)).addresses).toEqual(['10.0.0.3']);
  });

  it('F02: no record opens a name on a sealed list', async () => {
    for (const from of [KS1, STAFF])
      expect(await ask('sealed.example', 'A', from)).toMatchObject({ rcode: 'NXDOMAIN', addresses: [] });
  });

  it('have reverse names, and nothing of them or of special-use names leaves', async () => {
    upstream.asked.length = 0;
    const { records } = await ask('9.0.0.10.in-addr.arpa', 'PTR');
    expect(records).toMatchObject([{ type: 'PTR', data: 'printer.inside.example' }]);
    expect(await ask('missing.inside.example')).toMatchObject({ rcode: 'NXDOMAIN', addresses: [] });
    expect(await ask('printer.inside.example', 'AAAA')).toMatchObject({ rcode: 'NOERROR', addresses: [] });
    for (const name of ['x.internal', 'x.test', 'other.local', '1.1.168.192.in-addr.arpa', 'x.home.arpa'])
      expect(await ask(name, 'A', STAFF)).toMatchObject({ rcode: 'NXDOMAIN' });
    expect(upstream.asked).toEqual([]);
  });

  it('F01: are reached through the proxy by the same addresses, and special-use names are asked of nobody', async () => {
    upstream.asked.length = 0;
    // 127.0.0.1 is in allow_private of the test gateway, 10.0.0.9 is not
    const get = (host: string) => fetchFrom(`http://${host}/`, { proxy: gateway.proxy, from: STAFF });
    expect(await get(`www.inside.example:${port}`)).toMatchObject({ status: 200, body: 'the intranet' });
    // a group that is blocked from unknown names reaches the school's own, as in DNS; what is sealed or listed it does not
    const asClass = (host: string) => fetchFrom(`http://${host}/`, { proxy: gateway.proxy, from: KS1 });
    expect(await asClass(`www.inside.example:${port}`)).toMatchObject({ status: 200, body: 'the intranet' });
    expect((await asClass('unknown.example')).status).toBe(403);
    expect((await asClass('sealed.example')).status).toBe(403);
    expect((await asClass('games.example')).status).toBe(403);
    expect((await get('printer.inside.example')).status).toBe(403);
    expect((await get('missing.inside.example')).status).toBe(502);
    expect((await get('x.internal')).status).toBe(502);
    expect(upstream.asked).toEqual([]);
  });

  it('F16: explain tells what DNS does before the policy, for a device by its name too', async () => {
    const explain = async (...args: string[]) => (await gateway.cli(['explain', ...args])).stdout;
    const printer = await explain('printer.inside.example', '--client', 'year-2-tablets');
    expect(printer).toContain('printer.inside.example for ks1: ALLOW (local-allow)');
    expect(printer).toContain('dns: answered by the gateway itself: dns.records: A 10.0.0.9');
    expect(await explain('missing.inside.example', '--group', 'ks1')).toContain(
      'no such name (dns.authoritative',
    );
    expect(await explain('x.internal', '--group', 'ks1')).toContain(
      'dns: answered by the gateway itself: x.internal is',
    );
    expect(await explain('bbc.co.uk', '--client', '10.9.9.9')).toContain(
      'dns: REFUSED: 10.9.9.9 is not in dns.serve',
    );
    expect(await explain('sealed.example', '--client', STAFF)).toContain('BLOCK (illegal)');
    expect(await explain('bbc.co.uk', '--group', 'ks2')).toContain(
      'dns: the aliases and addresses of an answer are',
    );
    expect((await gateway.cli(['explain', 'bbc.co.uk', '--client', 'no-such'])).stderr).toContain(
      'The policy has no client of this name',
    );
  });

  it('come and go by the command line, at once and in every thread, and stay over a restart', async () => {
    const add = await gateway.cli([
      'records',
      'add',
      'door.inside.example',
      'a',
      '127.0.0.1',
      '--ttl',
      '5',
      '--reason',
      'a new door',
      '--json',
    ]);
    expect(add).toMatchObject({ code: 0, stderr: '' });
    const { id } = JSON.parse(add.stdout) as { id: string };
    expect(await ask('door.inside.example')).toMatchObject({ addresses: ['127.0.0.1'], ttls: [5] });
    expect(
      (await fetchFrom(`http://door.inside.example:${port}/`, { proxy: gateway.proxy, from: STAFF })).body,
    ).toBe('the intranet');

    const pair = ['pair.inside.example', 'A', '10.0.0.31', '10.0.0.32', '--reason', 'two of them'];
    expect((await gateway.cli(['records', 'add', ...pair])).stdout).toMatch(
      /A 10\.0\.0\.31\n.* A 10\.0\.0\.32\n/,
    );
    expect([...(await ask('pair.inside.example')).addresses].sort()).toEqual(['10.0.0.31', '10.0.0.32']);

    const twice = await gateway.cli([
      'records',
      'add',
      'door.inside.example',
      'A',
      '127.0.0.1',
      '--reason',
      'once more',
    ]);
    expect(twice).toMatchObject({ code: 1 });
    expect(twice.stderr).toContain('has this A record already');
    const held = await gateway.cli([
      'records',
      'add',
      'printer.inside.example',
      'A',
      '10.9.9.9',
      '--reason',
      'moved',
    ]);
    expect(held.stderr).toContain('gateway.yaml or its hosts file has a record of printer.inside.example');

    expect(await gateway.stop()).toBe(0);
    await gateway.start();
    expect((await ask('door.inside.example')).addresses).toEqual(['127.0.0.1']);
    const list = await gateway.cli(['records', 'list']);
    expect(list.stdout).toMatch(/door\.inside\.example +5 +A +api +\S+ +127\.0\.0\.1/);
    expect(list.stdout).toMatch(/nas +60 +A +hosts/);

    expect(await gateway.cli(['records', 'remove', id, '--reason', 'it was sold'])).toMatchObject({
      code: 0,
    });
    expect(await ask('door.inside.example')).toMatchObject({ rcode: 'NXDOMAIN' });
    expect((await gateway.cli(['records', 'remove', id, '--reason', 'once more'])).stderr).toContain(
      'There is no added record',
    );
  });

  it('follow the hosts file on a reload; a line that is wrong is left out', async () => {
    writeFileSync(join(gateway.dir, 'hosts'), '10.0.0.21 nas.inside.example\n');
    await reload();
    expect((await ask('nas.inside.example')).addresses).toEqual(['10.0.0.21']);
    writeFileSync(join(gateway.dir, 'hosts'), '10.0.0.22 nas.inside.example\nrubbish\n');
    await reload();
    const line = await gateway.waitForLog(({ msg }) => msg.includes('dns.hosts_file'));
    expect(line.msg).toContain('hosts:2: "rubbish" is not an address');
    expect((await ask('nas.inside.example')).addresses).toEqual(['10.0.0.22']);
    writeFileSync(join(gateway.dir, 'hosts'), '10.0.0.21 nas.inside.example\n');
    await reload();
  });
});

describe('an edit that only a restart takes up', () => {
  it('is told by status and /health until the restart, or until it is taken back', async () => {
    const before = { upstreams: [`127.0.0.1:${upstream.port}`] };
    const listen = { dns: ['127.0.0.1:0'], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0', '127.0.0.2:0'] };
    const listened = { ...listen, web: ['127.0.0.1:0'] };
    gateway.writeGateway({ listen, dns: { ...DNS, ...before } });
    await reload();
    expect((await gateway.cli(['status'])).stdout).toMatch(/ok +configuration +restart needed: listen;/);
    const health = await fetch(`http://127.0.0.1:${gateway.web}/health`);
    expect(JSON.stringify(await health.json())).toContain('restart needed: listen;');
    gateway.writeGateway({ listen: listened, dns: { ...DNS, ...before } });
    await reload();
    expect((await gateway.cli(['status'])).stdout).not.toContain('restart needed');
  });
});

describe('cached answers', () => {
  it('are forgotten by name or all at once', async () => {
    const asks = async (name: string): Promise<number> => {
      const before = upstream.asked.length;
      await ask(name, 'A', STAFF);
      return upstream.asked.length - before;
    };
    expect([
      await asks('a.keep.example'),
      await asks('a.drop.example'),
      await asks('a.drop.example'),
    ]).toEqual([1, 1, 0]);
    expect((await gateway.cli(['dns', 'purge', 'drop.example'])).stdout).toContain(
      'Forgotten in every thread: drop.example.',
    );
    expect([await asks('a.keep.example'), await asks('a.drop.example')]).toEqual([0, 1]);
    expect(await gateway.cli(['dns', 'purge'])).toMatchObject({ code: 0 });
    expect([await asks('a.keep.example'), await asks('a.drop.example')]).toEqual([1, 1]);
    expect((await gateway.cli(['dns', 'purge', 'a b'])).stderr).toContain('Write a host name');
  });
});
