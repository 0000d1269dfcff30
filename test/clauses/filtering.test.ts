import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import {
  GUEST,
  KS1,
  KS2,
  STAFF,
  STRANGER,
  startGateway,
  TEST_POLICY,
  type TestGateway,
} from '../support/gateway.ts';
import { fetchFrom, openTunnel } from '../support/web-client.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let originPort: number;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ upstream: upstream.port });
  origin = http.createServer((request, response) => response.end(`hello ${request.headers.host}`));
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  originPort = (origin.address() as AddressInfo).port;
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
});

const dns = (name: string, from: string) => askDns({ port: gateway.dns }, name, { from });
const web = (host: string, from: string) =>
  fetchFrom(`http://${host}:${originPort}/`, { proxy: gateway.proxy, from });

/** Both protocols say the same: open, or blocked. */
async function verdicts(name: string, from: string): Promise<'open' | 'blocked' | 'differ'> {
  const [answer, page] = await Promise.all([dns(name, from), web(name, from)]);
  const byDns = answer.addresses.length > 0;
  const byWeb = page.status === 200;
  return byDns !== byWeb ? 'differ' : byDns ? 'open' : 'blocked';
}

describe('filtering', () => {
  it('F01 every client is filtered: an unknown one gets the strictest group', async () => {
    expect(await verdicts('unlisted.example', STAFF)).toBe('open');
    expect(await verdicts('unlisted.example', STRANGER)).toBe('blocked');
    expect(await verdicts('games.example', STRANGER)).toBe('blocked');
  });

  it('F01 networks that are not served are refused, not answered', async () => {
    const only = await startGateway({
      upstream: upstream.port,
      gateway: { dns: { upstreams: [`127.0.0.1:${upstream.port}`], serve: ['127.0.0.2/32'] } },
    });
    try {
      expect((await askDns({ port: only.dns }, 'unlisted.example', { from: STAFF })).rcode).toBe('REFUSED');
      expect((await askDns({ port: only.dns }, 'allowed.example', { from: KS1 })).addresses).toEqual([
        '127.0.0.1',
      ]);
    } finally {
      await only.dispose();
    }
  });

  it('F02 a sealed list blocks for everyone, and no allow rule, group rating or parent override lifts it', async () => {
    const policy = structuredClone(TEST_POLICY) as any;
    policy.groups.staff.allow = ['sealed.example', 'games.example'];
    policy.groups.staff.ratings.illegal = 'acceptable';
    gateway.writePolicy(policy);
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded');
    for (const client of [KS1, KS2, STAFF, GUEST, STRANGER]) {
      expect(await verdicts('sealed.example', client)).toBe('blocked');
      expect(await verdicts('below.sealed.example', client)).toBe('blocked');
      expect(await verdicts('sealed.games.example', client)).toBe('blocked');
    }
    expect(await verdicts('games.example', STAFF)).toBe('open');
    gateway.writePolicy(TEST_POLICY);
    gateway.signal('SIGHUP');
    await gateway.waitForLog(
      (line) => line.msg === 'reloaded' && gateway.log.filter((l) => l.msg === 'reloaded').length > 1,
    );
  });

  it('F03 categories: a name and what is below it are blocked by every list of the category', async () => {
    for (const name of ['games.example', 'www.games.example', 'blocked.example', 'a.b.social.example']) {
      expect(await verdicts(name, KS2)).toBe('blocked');
    }
    expect(await verdicts('notgames.example', KS2)).toBe('open');
  });

  it('F04 F07 ratings differ by group: the same name is blocked for pupils and open for staff', async () => {
    for (const name of ['games.example', 'social.example', 'chat.example']) {
      expect(await verdicts(name, KS1)).toBe('blocked');
      expect(await verdicts(name, KS2)).toBe('blocked');
      expect(await verdicts(name, GUEST)).toBe('blocked');
      expect(await verdicts(name, STAFF)).toBe('open');
    }
  });

  it('F05 a category with the rating permission is blocked until somebody opens it', async () => {
    expect(await verdicts('chat.example', KS2)).toBe('blocked');
    const explained = JSON.parse(
      (await gateway.cli(['explain', '--group', 'ks2', 'chat.example', '--json'])).stdout,
    );
    expect(explained.verdict).toMatchObject({ action: 'block', reason: 'permission', category: 'chat' });
  });

  it('F06 a category that is open at certain times is open then and closed at other times', async () => {
    expect(await verdicts('shop.example', KS2)).toBe('open'); // the timetable `always`
    const policy = structuredClone(TEST_POLICY) as any;
    policy.timetables.lunch = [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '12:00', to: '13:00' }];
    policy.groups.pupils.ratings.shopping = { timed: ['lunch'] };
    gateway.writePolicy(policy);
    const before = gateway.log.length;
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded' && gateway.log.indexOf(line) >= before);
    const at = async (time: string) => {
      const { stdout } = await gateway.cli([
        'explain',
        '--group',
        'ks2',
        'shop.example',
        '--at',
        time,
        '--json',
      ]);
      return JSON.parse(stdout).verdict.action;
    };
    expect(await at('2026-06-15T11:30:00Z')).toBe('allow'); // Monday, 12:30 in summer time
    expect(await at('2026-06-15T12:30:00Z')).toBe('block');
    expect(await at('2026-11-16T12:30:00Z')).toBe('allow'); // Monday, 12:30 in winter time
    expect(await at('2026-11-14T12:30:00Z')).toBe('block'); // Saturday
    gateway.writePolicy(TEST_POLICY);
    const again = gateway.log.length;
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded' && gateway.log.indexOf(line) >= again);
  });

  it('F08 a group’s own allow list beats a category', async () => {
    expect(await verdicts('social.example', KS2)).toBe('blocked');
    expect(await verdicts('approved.social.example', KS2)).toBe('open');
    expect(await verdicts('approved.social.example', GUEST)).toBe('blocked');
    expect(await verdicts('garden.example', KS1)).toBe('open');
    expect(await verdicts('garden.example', STRANGER)).toBe('blocked');
  });

  it('F12 names that get round the filter are blocked, the canaries do not exist for anyone', async () => {
    for (const name of ['dns.google', 'cloudflare-dns.com', 'mask.icloud.com']) {
      expect((await dns(name, KS2)).rcode).toBe('NXDOMAIN');
    }
    for (const client of [KS1, KS2, STAFF, STRANGER]) {
      expect((await dns('use-application-dns.net', client)).rcode).toBe('NXDOMAIN');
    }
    const discovery = await askDns({ port: gateway.dns }, '_dns.resolver.arpa', {
      from: STAFF,
      type: 'SVCB' as 'A',
    });
    expect(discovery.addresses).toEqual([]);
    expect(upstream.asked).not.toContain('_dns.resolver.arpa');
  });

  it('F12 a tunnel to a blocked name, or to an address instead of a name, is refused', async () => {
    for (const target of [
      'games.example:443',
      'Games.Example.:443',
      '203.0.113.7:443',
      '[2001:db8::7]:443',
    ]) {
      const tunnel = await openTunnel(gateway.proxy, target, KS1);
      expect([target, tunnel.status]).toEqual([target, 403]);
      tunnel.socket.destroy();
    }
  });

  it('F16 staff can see what a group would meet, and which rule says so', async () => {
    const { stdout, code } = await gateway.cli(['explain', '--group', 'ks1', 'http://games.example/play']);
    expect(code).toBe(0);
    expect(stdout).toContain('games.example for ks1: BLOCK (unacceptable), category games, list games');
    expect(stdout).toMatch(/^ +1\. .*\n/m);
    expect(stdout).toMatch(/^> +9\. /m);
    const open = await gateway.cli(['explain', '--group', 'staff', 'games.example']);
    expect(open.stdout).toContain('games.example for staff: ALLOW (acceptable)');
  });

  it('F19 a device that nobody registered is held to the strictest group until it is', async () => {
    const policy = structuredClone(TEST_POLICY) as any;
    expect(await verdicts('unlisted.example', STRANGER)).toBe('blocked');
    policy.clients.push({ name: 'new-laptop', match: [STRANGER], group: 'ks2' });
    gateway.writePolicy(policy);
    const before = gateway.log.length;
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded' && gateway.log.indexOf(line) >= before);
    expect(await verdicts('unlisted.example', STRANGER)).toBe('open');
  });

  it('F15 F25 a device is suspended until a time, which ends by itself, or without end', async () => {
    const policy = structuredClone(TEST_POLICY) as any;
    const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2_000).toISOString().replace('.000', '');
    policy.clients[3].suspended = { until, reason: 'broke the rules twice' };
    policy.clients[1].suspended = { reason: 'until the head has decided' };
    gateway.writePolicy(policy);
    const before = gateway.log.length;
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded' && gateway.log.indexOf(line) >= before);
    expect(await verdicts('unlisted.example', GUEST)).toBe('blocked');
    expect(await verdicts('unlisted.example', KS2)).toBe('blocked');
    while (Date.now() < Date.parse(until)) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await verdicts('unlisted.example', GUEST)).toBe('open');
    expect(await verdicts('unlisted.example', KS2)).toBe('blocked');
  });

  it('C02 M02 the block page says in plain words what happened, whom to tell, and that use is monitored', async () => {
    const page = await web('games.example', KS1);
    expect(page.status).toBe(403);
    expect(page.headers['cache-control']).toBe('no-store');
    expect(page.body).toMatch(/grown-up|teacher/i);
    expect(page.body).toMatch(/monitored/i);
    expect(page.body).not.toMatch(/category/i);
  });

  it('C03 the block page of staff has the category, the list and the rule', async () => {
    const page = await web('sealed.example', STAFF);
    expect(page.status).toBe(403);
    const policy = await web('dns.google', STAFF);
    expect(policy.body.toLowerCase()).toContain('rule');
  });
});
