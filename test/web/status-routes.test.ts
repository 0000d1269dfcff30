import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addEveryRole, HOUR, openGateway, PASSWORD, START } from './fixture.ts';
import type { Gateway } from './fixture.ts';

type Answer = Awaited<ReturnType<Gateway['app']['inject']>>;
let gateway: Gateway;
let headers: { authorization: string };
beforeEach(async () => {
  gateway = await openGateway();
  headers = (await addEveryRole(gateway)).technician;
});
afterEach(async () => {
  await gateway.close();
});

const get = (url: string): Promise<Answer> => gateway.app.inject({ url, headers });
const post = (url: string, payload: object): Promise<Answer> =>
  gateway.app.inject({ method: 'POST', url, payload, headers });
const problem = (answer: Answer): [number, string, string | undefined] => {
  const { error } = answer.json();
  return [answer.statusCode, error.code, error.details?.[0]?.field];
};
const iso = (at: number): string => new Date(at).toISOString();
const wish = (parts: object = {}): object => ({
  names: ['games.example.com'],
  scope: { groups: ['ks1'] },
  until: iso(START + HOUR),
  reason: 'a maths lesson',
  ...parts,
});

describe('health, metrics, openapi', () => {
  it('says ok or degraded to anyone, without personal data', async () => {
    for (const url of ['/health', '/api/v1/health']) {
      const well = await gateway.app.inject({ url, remoteAddress: '10.2.0.7' });
      expect(well.json()).toEqual({ status: 'ok', checks: { dns: { ok: true, detail: '1 thread' } } });
    }
    gateway.checks['audit'] = { ok: false, detail: 'the disk is full' };
    expect((await gateway.app.inject('/health')).json()).toMatchObject({ status: 'degraded' });
    expect((await gateway.app.inject({ method: 'HEAD', url: '/health' })).statusCode).toBe(200);
  });

  it('gives metrics to the networks that may have them', async () => {
    const near = await gateway.app.inject('/metrics');
    expect([near.statusCode, near.body]).toEqual([200, 'schoolgate_up 1\n']);
    expect(near.headers['content-type']).toContain('text/plain');
    const far = await gateway.app.inject({ url: '/metrics', remoteAddress: '10.2.0.7' });
    expect(problem(far)).toEqual([403, 'forbidden', undefined]);
  });

  it('says what the gateway does, or that none runs', async () => {
    const idle = (await get('/api/v1/status')).json();
    expect(idle).toMatchObject({ running: false, dns: { queriesPerSecond: 0, threads: [] }, upstreams: [] });
    const dns = {
      queriesPerSecond: 12.5,
      blockedShare: 0.2,
      cacheHitShare: null,
      failedShare: 0,
      turnedAwayPerSecond: 0,
      waiting: 1,
      queries: 750,
    };
    const proxy = { requestsPerSecond: 0, blockedShare: null, connections: 0, requests: 0 };
    const upstream = {
      name: '192.0.2.1:53',
      kind: 'udp',
      domain: '.',
      up: false,
      downIn: ['dns-0'],
      trouble: { reason: 'no answer in 600 ms', at: START },
      p50Ms: 1.5,
      p95Ms: null,
      queries: 9,
      failures: 3,
      spoofed: 0,
    } as const;
    const met = { client: '10.0.0.9', queries: 40, since: START, last: START + 1000 };
    const running = await openGateway({
      figures: () => ({
        seconds: 60,
        dns: { ...dns, threads: [{ thread: 'dns-0', alive: true, restarts: 2, ...dns }] },
        proxy: { ...proxy, threads: [] },
        upstreams: [upstream],
        limited: { clients: 1, queries: 40, top: [met] },
      }),
    });
    const { technician } = await addEveryRole(running);
    const answer = await running.app.inject({ url: '/api/v1/status', headers: technician });
    expect(answer.json()).toEqual({
      running: true,
      seconds: 60,
      dns: { ...dns, threads: [{ thread: 'dns-0', alive: true, restarts: 2, ...dns }] },
      proxy: { ...proxy, threads: [] },
      upstreams: [{ ...upstream, trouble: { ...upstream.trouble, at: iso(START) } }],
      limited: { clients: 1, queries: 40, top: [{ ...met, since: iso(START), last: iso(START + 1000) }] },
    });
    await running.close();
  });

  it('describes every route of the API', async () => {
    const { paths } = (await gateway.app.inject('/api/v1/openapi.json')).json();
    expect(Object.keys(paths).sort()).toEqual([
      '/api/v1/accounts',
      '/api/v1/accounts/{username}/disable',
      '/api/v1/accounts/{username}/enable',
      '/api/v1/accounts/{username}/password',
      '/api/v1/accounts/{username}/unlock',
      '/api/v1/audit/verify',
      '/api/v1/blocklists',
      '/api/v1/blocklists/lookup',
      '/api/v1/dns/purge',
      '/api/v1/events',
      '/api/v1/explain',
      '/api/v1/health',
      '/api/v1/login',
      '/api/v1/logout',
      '/api/v1/me',
      '/api/v1/me/password',
      '/api/v1/overrides',
      '/api/v1/overrides/{id}',
      '/api/v1/overrides/{id}/revoke',
      '/api/v1/records',
      '/api/v1/records/{id}',
      '/api/v1/status',
      '/health',
    ]);
    expect(paths['/api/v1/overrides'].post.requestBody.content['application/json'].schema.required).toEqual([
      'names',
      'scope',
      'until',
      'reason',
    ]);
  });

  it('sends headers that keep other sites out of our pages', async () => {
    const answer = await gateway.app.inject('/health');
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(answer.headers['referrer-policy']).toBe('no-referrer');
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });
});

describe('audit/verify', () => {
  it('D06: says whether both logs are whole, and names the first wrong row', async () => {
    await post('/api/v1/overrides', wish());
    const whole = (await get('/api/v1/audit/verify')).json();
    expect(whole.ok).toBe(true);
    expect(whole.logs).toMatchObject([
      { log: 'changes', ok: true },
      { log: 'audit', ok: true, rows: 7 },
    ]);
    gateway.state.db.exec("DROP TRIGGER changes_no_update; UPDATE changes SET who = 'eve' WHERE seq = 2");
    const broken = (await get('/api/v1/audit/verify')).json();
    expect(broken).toMatchObject({
      ok: false,
      logs: [{ log: 'changes', ok: false, rows: 1, detail: 'row 2 was altered' }, { ok: true }],
    });
  });
});

describe('the setup page', () => {
  let fresh: Gateway;
  beforeEach(async () => {
    fresh = await openGateway();
    fresh.setup.begin();
  });
  afterEach(async () => {
    await fresh.close();
  });
  const token = (): string =>
    readFileSync(join(fresh.dir, 'setup-link'), 'utf8').trim().split('token=')[1] ?? '';
  const send = (fields: Record<string, string>): Promise<Answer> =>
    fresh.app.inject({
      method: 'POST',
      url: '/setup',
      payload: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });

  it('makes the first technician without script, once', async () => {
    const secret = token();
    const page = await fresh.app.inject(`/setup?token=${secret}`);
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).toContain('<form method="post" action="/setup"');
    expect(page.body).not.toContain('<script');
    const fields = { token: secret, username: 'tess"><script>', name: 'Tess', password: PASSWORD };
    const wrong = await send(fields);
    expect(wrong.statusCode).toBe(400);
    expect(wrong.body).toContain('tess&#34;&#62;&#60;script&#62;');
    expect(wrong.body).not.toContain(PASSWORD);
    const done = await send({ ...fields, username: 'tess' });
    expect([done.statusCode, done.body.includes('tess')]).toEqual([200, true]);
    expect(fresh.accounts.find('tess')?.role).toBe('technician');
    expect((await send({ ...fields, username: 'two' })).statusCode).toBe(403);
    expect((await fresh.app.inject(`/setup?token=${secret}`)).statusCode).toBe(403);
    expect(JSON.stringify(fresh.logged)).not.toContain(secret);
  });

  it('opens for nobody without the token, nor from another machine in the clear', async () => {
    for (const url of ['/setup', '/setup?token=', '/setup?token=wrong', '/setup?token=a&token=b']) {
      expect((await fresh.app.inject(url)).statusCode).toBe(403);
    }
    const far = await fresh.app.inject({ url: `/setup?token=${token()}`, remoteAddress: '10.2.0.7' });
    expect(problem(far)).toEqual([403, 'tls-required', undefined]);
    expect((await send({ token: 'wrong', username: 'tess', name: 'T', password: PASSWORD })).statusCode).toBe(
      403,
    );
    expect(fresh.accounts.hasAdministrator()).toBe(false);
  });
});
