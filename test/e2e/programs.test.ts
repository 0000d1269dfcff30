import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS1, STAFF, STRANGER, startGateway, type TestGateway } from '../support/gateway.ts';
import { run } from './programs.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let originPort: number;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ upstream: upstream.port });
  origin = http.createServer((request, response) => response.end(`hello from ${request.headers.host}\n`));
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  originPort = (origin.address() as AddressInfo).port;
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
});

const dig = (from: string, ...args: string[]) =>
  run('dig', ['@127.0.0.1', '-p', String(gateway.dns), '-b', from, '+tries=1', '+time=3', ...args]);
const curl = (from: string, url: string, ...args: string[]) =>
  run('curl', [
    '-sS',
    '-i',
    '--max-time',
    '5',
    '--interface',
    from,
    '-x',
    `http://127.0.0.1:${gateway.proxy}`,
    ...args,
    url,
  ]);

describe('dig and curl', () => {
  it('dig: the same name is blocked for a class and open for staff', async () => {
    const blocked = await dig(KS1, 'www.games.example');
    expect(blocked.stdout).toContain('status: NXDOMAIN');
    expect(blocked.stdout).toMatch(/EDE: 15 \(Blocked\)/);
    expect(blocked.stdout).toContain('udp: 1232');
    const open = await dig(STAFF, 'www.games.example');
    expect(open.stdout).toContain('status: NOERROR');
    expect(open.stdout).toMatch(/www\.games\.example\.\s+\d+\s+IN\s+A\s+127\.0\.0\.1/);
  });

  it('dig: over TCP, without EDNS, with a bad EDNS version, and for types without an address', async () => {
    expect((await dig(KS1, '+tcp', 'games.example')).stdout).toContain('status: NXDOMAIN');
    expect((await dig(KS1, '+noedns', 'games.example')).stdout).not.toContain('EDE');
    expect((await dig(STAFF, '+edns=1', '+noednsnegotiation', 'allowed.example')).stdout).toContain(
      'status: BADVERS',
    );
    expect((await dig(KS1, 'games.example', 'HTTPS')).stdout).toContain('status: NXDOMAIN');
    expect((await dig(STRANGER, 'unlisted.example')).stdout).toContain('EDE: 17 (Filtered)');
    expect((await dig(STAFF, 'allowed.example', 'AXFR')).stdout).toMatch(/Transfer failed|REFUSED/);
  });

  it('curl: a page for staff, the block page for a class, 403 for its tunnel', async () => {
    const url = `http://games.example:${originPort}/`;
    expect((await curl(STAFF, url)).stdout).toContain(`hello from games.example:${originPort}`);
    const page = (await curl(KS1, url)).stdout;
    expect(page).toMatch(/^HTTP\/1\.1 403/);
    expect(page).toContain('This site is not open here');
    const json = (await curl(KS1, url, '-H', 'Accept: application/json')).stdout;
    expect(JSON.parse(json.slice(json.indexOf('{')))).toHaveProperty('error.code');
    const tunnel = await curl(KS1, `https://games.example:${originPort}/`);
    expect(tunnel.code).not.toBe(0);
    expect(tunnel.stderr).toContain('403');
  });

  it('curl: never into the gateway itself, nor to private addresses', async () => {
    for (const url of [
      `http://127.0.0.1:${gateway.web}/api/v1/health`,
      'http://10.0.0.1/',
      'http://[::1]/',
      'http://0x0a000001/',
      'http://167772161/',
    ]) {
      expect([url, (await curl(STAFF, url)).stdout.split(' ')[1]]).toEqual([url, '403']);
    }
  });
});
