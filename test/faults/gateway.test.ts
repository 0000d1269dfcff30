import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import {
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
let gateway: TestGateway | undefined;

beforeAll(async () => {
  upstream = await startFakeUpstream();
});
afterAll(() => upstream.close());
afterEach(async () => {
  await gateway?.dispose();
  gateway = undefined;
});

const start = async (options: Partial<Parameters<typeof startGateway>[0]> = {}): Promise<TestGateway> =>
  (gateway = await startGateway({ upstream: upstream.port, ...options }));

const isOpen = async (name: string, from: string): Promise<boolean> =>
  (await askDns({ port: gateway!.dns }, name, { from })).addresses.length > 0;

describe('faults of the gateway', () => {
  it('the second start reads the snapshot and no list', async () => {
    const running = await start();
    expect(running.log.some((line) => line.msg === 'lists in force')).toBe(true);
    expect(await running.stop()).toBe(0);
    await running.start();
    expect(running.log.some((line) => line.msg === 'lists in force')).toBe(false);
    expect(await isOpen('games.example', KS2)).toBe(false);
    expect(await isOpen('unlisted.example', KS2)).toBe(true);
  });

  it('a damaged snapshot is set aside, named, and rebuilt from the lists', async () => {
    const running = await start();
    await running.stop();
    const snapshot = join(running.dataDir, 'index.snapshot');
    truncateSync(snapshot, statSync(snapshot).size - 100);
    await running.start();
    const line = await running.waitForLog((l) => l.msg.includes('snapshot cannot be used'));
    expect(String(line['problem'])).toContain(snapshot);
    expect(readdirSync(running.dataDir).some((name) => name.startsWith('index.snapshot.damaged-'))).toBe(
      true,
    );
    expect(await isOpen('games.example', KS2)).toBe(false);
    expect(await isOpen('unlisted.example', KS2)).toBe(true);
  });

  it('a list that yields nothing is refused and named; the lists in force stay', async () => {
    const running = await start();
    running.writeList('games', ['!!! not a list', '<html>404 not found</html>']);
    running.signal('SIGHUP');
    const line = await running.waitForLog((l) => l.msg.startsWith('list refused'));
    expect(String(line['problem'])).toMatch(/list games: .*games\.txt yields no name/);
    await running.waitForLog((l) => l.msg === 'reloaded');
    expect(await isOpen('games.example', KS2)).toBe(false);
    const health = await fetchFrom(`http://127.0.0.1:${running.web}/health`);
    expect(JSON.parse(health.body)).toMatchObject({ status: 'degraded', checks: { lists: { ok: false } } });
  });

  it('without any usable list it does not start, and says which list and why', async () => {
    const running = await start();
    await running.stop();
    running.writeList('games', ['']);
    for (const name of readdirSync(running.dataDir)) {
      if (name === 'index.snapshot') truncateSync(join(running.dataDir, name), 10);
    }
    await expect(running.start()).rejects.toThrow(/list games: .*games\.txt yields no name/);
  });

  it('a wrong policy is refused on reload with file, line and column; the one in force stays', async () => {
    const running = await start();
    writeFileSync(running.policyFile, 'groups:\n  ks1: { default: maybe }\nunknown: nobody\n');
    running.signal('SIGHUP');
    const line = await running.waitForLog((l) => l.msg.includes('policy.yaml:2:'));
    expect(line.msg).toContain('policy.yaml:3:');
    await running.waitForLog((l) => l.msg.startsWith('not reloaded'));
    expect(await isOpen('games.example', KS2)).toBe(false);
    expect(await isOpen('games.example', STAFF)).toBe(true);
  });

  it('a wrong configuration at start ends with exit code 1 and every mistake', async () => {
    const running = await start();
    await running.stop();
    appendFileSync(running.configFile, 'dsn: { upstreams: [system] }\n');
    writeFileSync(running.policyFile, 'groups: {}\n');
    await expect(running.start()).rejects.toThrow(
      /ended with 1[\s\S]*gateway\.yaml:\d+:\d+ dsn:[\s\S]*policy\.yaml:\d+:\d+/,
    );
  });

  it('a second gateway in the same directory, or on the same port, is refused with the reason', async () => {
    const running = await start();
    const second = await running.cli(['serve']);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('another gateway runs with');
    const other = await startGateway({ upstream: upstream.port });
    await other.stop();
    other.writeGateway({
      listen: { dns: [`127.0.0.1:${running.dns}`], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] },
    });
    await expect(other.start()).rejects.toThrow(/is taken by another program/);
    await other.dispose();
  });

  it('an upstream that is the gateway itself is named', async () => {
    const running = await start();
    await running.stop();
    running.writeGateway({
      listen: { dns: [`127.0.0.1:${running.dns}`], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] },
      dns: { upstreams: [`127.0.0.1:${running.dns}`] },
    });
    await expect(running.start()).rejects.toThrow(
      /gateway\.yaml:\d+:\d+ dns\.upstreams\[0\]: this is the gateway itself/,
    );
  });

  it('with every upstream dead, blocks and refusals still come at once, and open names fail with an error', async () => {
    const dead = await startFakeUpstream();
    await dead.close();
    await start({ upstream: dead.port });
    expect((await askDns({ port: gateway!.dns }, 'games.example', { from: KS2 })).rcode).toBe('NXDOMAIN');
    const failed = await askDns({ port: gateway!.dns }, 'unlisted.example', { from: KS2, timeoutMs: 10_000 });
    expect(failed.rcode).toBe('SERVFAIL');
    const page = await fetchFrom('http://unlisted.example/', { proxy: gateway!.proxy, from: KS2 });
    expect([502, 504]).toContain(page.status);
  });

  it('a full load of queries is answered while the policy and the lists are swapped under it, never wrongly', async () => {
    const running = await start();
    let stop = false;
    const wrong: string[] = [];
    let asked = 0;
    const load = async (): Promise<void> => {
      while (!stop) {
        const [blocked, open] = await Promise.all([
          askDns({ port: running.dns }, 'games.example', { from: KS2 }),
          askDns({ port: running.dns }, 'unlisted.example', { from: KS2 }),
        ]);
        asked += 2;
        if (blocked.rcode !== 'NXDOMAIN') wrong.push(`games.example ${blocked.rcode}`);
        if (open.addresses[0] !== '127.0.0.1') wrong.push(`unlisted.example ${open.rcode}`);
      }
    };
    const loads = Array.from({ length: 8 }, load);
    const reloads = (): number => running.log.filter((line) => line.msg === 'reloaded').length;
    for (let n = 1; n <= 15; n++) {
      const policy = structuredClone(TEST_POLICY) as any;
      policy.groups.ks2.allow.push(`round-${n}.example`);
      running.writePolicy(policy);
      running.writeList('social', ['social.example', `social-${n}.example`]);
      running.signal('SIGHUP');
      await running.waitForLog(() => reloads() >= n);
    }
    stop = true;
    await Promise.all(loads);
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(100);
    expect((await askDns({ port: running.dns }, 'social-15.example', { from: STRANGER })).rcode).toBe(
      'NXDOMAIN',
    );
  });

  it('SIGTERM drains within five seconds with exit code 0, with a tunnel open; a second one changes nothing', async () => {
    const running = await start();
    const tunnel = await openTunnel(running.proxy, `allowed.example:${running.web}`, KS1);
    tunnel.socket.destroy();
    const began = performance.now();
    const stopped = running.stop();
    running.signal('SIGTERM');
    expect(await stopped).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(readdirSync(running.dataDir)).not.toContain('control.sock');
  });

  it('SIGTERM while the lists are built gives the build up and ends within five seconds', async () => {
    const running = await start();
    running.writeList(
      'games',
      Array.from({ length: 500_000 }, (_, i) => `name-${i}.games${i % 977}.example`),
    );
    running.signal('SIGHUP');
    const began = performance.now();
    expect(await running.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(running.log.some((line) => line.msg === 'lists in force' && Number(line['names']) > 1000)).toBe(
      false,
    );
    running.writeList('games', ['games.example']);
    await running.start();
    expect(await isOpen('games.example', KS2)).toBe(false);
  });

  it('secrets and state are for the owner alone', async () => {
    const running = await start();
    expect(statSync(running.dataDir).mode & 0o777).toBe(0o700);
    for (const name of ['state.db', 'audit.db', 'index.snapshot', 'setup-link', 'control.sock']) {
      expect([name, statSync(join(running.dataDir, name)).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect(readFileSync(join(running.dataDir, 'setup-link'), 'utf8')).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/setup\?token=/,
    );
  });
});
