// A running gateway whose upstreams fail: a technician finds out why from the log, from status, from the health page and from a
// check of the upstreams; and a reload begins anew, with the connections of before closed.

import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { startHttpsUpstream, startTlsUpstream } from '../resolver/secure-upstream.ts';
import { testAuthority } from '../support/certificate.ts';
import { askDns } from '../support/dns-client.ts';
import { KS2, STAFF, startGateway } from '../support/gateway.ts';
import type { LogLine, TestGateway } from '../support/gateway.ts';
import { fetchFrom } from '../support/web-client.ts';

const open: { close(): unknown }[] = [];
let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.dispose();
  gateway = undefined;
  for (const item of open.splice(0)) await item.close();
});
const kept = <T extends { close(): unknown }>(item: T): T => {
  open.push(item);
  return item;
};

const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const UNTRUSTED = 'its certificate is not trusted: name its authority under dns.upstream_ca';
const REFUSED = 'it refuses the connection: nothing listens at this address and port';
const dns = (upstreams: readonly string[], more: object = {}) => ({
  upstreams,
  serve: ['127.0.0.0/8'],
  rate_limit: { qps: 300, exempt: ['127.0.0.0/8'] },
  ...more,
});
const ask = async (name: string) =>
  (await askDns({ port: gateway!.dns }, name, { from: KS2, timeoutMs: 8000 })).rcode;
const isDown = (upstream: string) => (line: LogLine) =>
  line.msg === 'upstream down' && line['upstream'] === upstream;
const status = async () => {
  const { code, stdout } = await gateway!.cli(['status', '--json']);
  return {
    code,
    ...(JSON.parse(stdout) as { checks: Record<string, unknown>; figures: { upstreams: unknown } }),
  };
};
const health = async () => {
  const { body } = await fetchFrom(`http://127.0.0.1:${gateway!.web}/health`);
  return JSON.parse(body) as { status: string; checks: { upstreams: object } };
};
const reload = async (change: object): Promise<void> => {
  gateway!.writeGateway(change);
  const from = gateway!.log.length;
  gateway!.signal('SIGHUP');
  await gateway!.waitForLog((line) => line.msg === 'reloaded' && gateway!.log.indexOf(line) >= from);
};

describe('upstreams that all fail', () => {
  it('refused: logged with the reason, seen in status and on the health page', async () => {
    const ports = [await closedPort(), await closedPort()];
    gateway = await startGateway({
      upstream: 0,
      gateway: { dns: dns(ports.map((port) => `127.0.0.1:${port}`)) },
    });
    expect((await health()).checks.upstreams).toEqual({ ok: true, detail: '2 configured' });
    expect(await ask('one.example')).toBe('SERVFAIL');
    for (const port of ports) {
      const line = await gateway.waitForLog(isDown(`127.0.0.1:${port}`));
      expect(line).toMatchObject({ thread: 'dns-0', domain: '.', reason: REFUSED, level: 40 });
    }
    const { code, checks, figures } = await status();
    expect([code, checks['upstreams']]).toEqual([
      1,
      { ok: false, detail: `none answers: ${ports.map((p) => `127.0.0.1:${p} (${REFUSED})`).join(', ')}` },
    ]);
    const one = { up: false, trouble: { reason: REFUSED, at: expect.stringMatching(/^\d{4}-/) } };
    expect(figures.upstreams).toMatchObject([one, one]);
    const { stdout } = await gateway.cli(['status']);
    expect(stdout.split('\n').filter((line) => /DOWN .*it refuses the connection/.test(line)).length).toBe(2);
    expect(await health()).toMatchObject({ status: 'degraded', checks: { upstreams: { ok: false } } });
    // Asking on and on does not fill the log.
    for (let i = 0; i < 20; i++) await ask(`more${i}.example`);
    await status();
    expect(gateway.log.filter(({ msg }) => msg === 'upstream down').length).toBe(2);
  });

  it('not trusted: said so everywhere, until a reload names the authority; then nothing old is counted', async () => {
    const [tls, https] = [kept(await startTlsUpstream()), kept(await startHttpsUpstream())];
    const written = [
      `tls://127.0.0.1:${tls.port}#dns.test`,
      `https://127.0.0.1:${https.port}/dns-query#dns.test`,
    ];
    gateway = await startGateway({
      upstream: 0,
      gateway: { dns: dns(written) },
      files: { 'ca.pem': testAuthority },
    });
    expect(await ask('one.example')).toBe('SERVFAIL');
    for (const name of written)
      expect(await gateway.waitForLog(isDown(name))).toMatchObject({ reason: UNTRUSTED });
    const before = await status();
    expect([before.code, before.checks['upstreams']]).toMatchObject([1, { ok: false }]);
    expect(before.figures.upstreams).toMatchObject(
      written.map((name) => ({ name, up: false, trouble: { reason: UNTRUSTED } })),
    );
    const check = await gateway.cli(['upstreams', 'check']);
    expect([check.code, check.stderr.trim()]).toEqual([1, 'schoolgate: 2 of 2 upstreams failed']);
    expect(check.stdout.split(`FAILED: ${UNTRUSTED}`).length).toBe(3);

    await reload({ dns: dns(written, { upstream_ca: 'ca.pem' }) });
    expect(await ask('two.example')).toBe('NOERROR');
    await gateway.waitForLog(
      ({ msg, upstream }) => msg === 'upstream answers again' && upstream === written[0],
    );
    const after = await status();
    expect([after.code, after.checks['upstreams']]).toEqual([0, { ok: true, detail: '2 configured' }]);
    expect(after.figures.upstreams).toMatchObject(
      written.map((name) => ({ name, up: true, failures: 0, trouble: null })),
    );
    expect((await gateway.cli(['upstreams', 'check'])).code).toBe(0);
  });
});

describe('upstreams check', () => {
  it('asks those of dns.upstreams and dns.forward, with no gateway running, and says why one failed', async () => {
    const good = kept(await startScriptedUpstream());
    const asked: string[] = [];
    good.script = (query) => {
      asked.push(`${query.type} ${query.name}`);
      return [answerTo(query, [])];
    };
    const unwilling = kept(await startScriptedUpstream());
    unwilling.script = (query) => [answerTo(query, [], { flags: 5 })];
    const secure = kept(await startTlsUpstream());
    const dead = await closedPort();
    gateway = await startGateway({ upstream: good.port });
    await gateway.stop();
    expect(JSON.parse((await gateway.cli(['upstreams', 'check', '--json'])).stdout)).toEqual({
      ok: true,
      upstreams: [
        {
          upstream: `127.0.0.1:${good.port}`,
          kind: 'udp',
          domain: '.',
          ok: true,
          ms: expect.any(Number),
          reason: null,
        },
      ],
    });
    expect(asked).toEqual(['NS .']);
    gateway.writeGateway({
      dns: dns([`127.0.0.1:${good.port}`, `127.0.0.1:${dead}`, `tls://127.0.0.1:${secure.port}#other.test`], {
        upstream_ca: 'ca.pem',
        forward: { 'inside.example': [`127.0.0.1:${unwilling.port}`] },
      }),
    });
    writeFileSync(join(gateway.dir, 'ca.pem'), testAuthority);
    const { code, stdout } = await gateway.cli(['upstreams', 'check', '--json']);
    const { ok, upstreams } = JSON.parse(stdout) as { ok: boolean; upstreams: Record<string, unknown>[] };
    expect([code, ok]).toEqual([1, false]);
    expect(upstreams.map(({ kind, domain, reason }) => [kind, domain, reason])).toEqual([
      ['udp', '.', null],
      ['udp', '.', REFUSED],
      ['tls', '.', 'its certificate is for another name than other.test'],
      ['udp', 'inside.example', 'it answered REFUSED: it does not serve this address, or not this name'],
    ]);
  });
});

describe.skipIf(process.platform !== 'linux')('reloads', () => {
  it('close what was open to the upstreams before: no descriptor is left over', async () => {
    const [tls, https] = [kept(await startTlsUpstream()), kept(await startHttpsUpstream())];
    const settings = (qps: number) => ({
      dns: {
        ...dns([`tls://127.0.0.1:${tls.port}#dns.test`], {
          upstream_ca: 'ca.pem',
          forward: { 'inside.example': [`https://127.0.0.1:${https.port}/dns-query#dns.test`] },
        }),
        rate_limit: { qps, exempt: ['127.0.0.0/8'] },
      },
    });
    gateway = await startGateway({
      upstream: 0,
      gateway: settings(300),
      files: { 'ca.pem': testAuthority },
    });
    const both = async (n: number): Promise<void> => {
      expect(await ask(`n${n}.example`)).toBe('NOERROR');
      expect(await ask(`n${n}.inside.example`)).toBe('NOERROR');
      // The proxy has upstream connections of its own.
      await fetchFrom(`http://p${n}.example:9/`, { proxy: gateway!.proxy, from: STAFF }).catch(() => null);
    };
    const descriptors = (): number => readdirSync(`/proc/${gateway!.pid()}/fd`).length;
    const RELOADS = Number(process.env['RELOADS'] ?? 25);
    let early = 0;
    for (let n = 0; n < RELOADS; n++) {
      await both(n);
      await reload(settings(301 + (n % 2)));
      if (n === 5) early = descriptors();
    }
    await both(RELOADS);
    await expect.poll(descriptors, { timeout: 15_000 }).toBeLessThanOrEqual(early + 4);
    expect([tls.connections() >= RELOADS, https.connections() >= RELOADS]).toEqual([true, true]);
  }, 120_000);
});
