import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
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

  it('describes every route of the API', async () => {
    const { paths } = (await gateway.app.inject('/api/v1/openapi.json')).json();
    expect(Object.keys(paths).sort()).toEqual([
      '/api/v1/accounts',
      '/api/v1/accounts/{username}/disable',
      '/api/v1/accounts/{username}/enable',
      '/api/v1/accounts/{username}/password',
      '/api/v1/accounts/{username}/unlock',
      '/api/v1/blocklists',
      '/api/v1/blocklists/lookup',
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

describe('explain', () => {
  it('gives the verdict and the numbered steps', async () => {
    const answer = await get(
      '/api/v1/explain?url=https://Games.Example.com:8443/x?y&group=ks1&at=2026-09-07T10:00:00%2B01:00',
    );
    expect(answer.json()).toMatchObject({
      host: 'games.example.com',
      at: '2026-09-07T09:00:00.000Z',
      verdict: { action: 'block', reason: 'unacceptable', group: 'ks1', until: iso(START + HOUR) },
      trace: [{ step: 9, outcome: 'decided', detail: 'games.example.com by connect' }],
    });
    expect((await get('/api/v1/explain?url=bbc.co.uk&client=10.2.0.7')).statusCode).toBe(200);
  });

  it.each([
    ['group=ks1', 'url'],
    ['url=bbc.co.uk', 'group'],
    ['url=&group=ks1', 'url'],
    ['url=ftp://bbc.co.uk&group=ks1', 'url'],
    ['url=javascript:alert(1)&group=ks1', 'url'],
    ['url=http://&group=ks1', 'url'],
    [`url=${'a'.repeat(2049)}&group=ks1`, 'url'],
    ['url=bbc.co.uk&group=ks9', 'group'],
    ['url=bbc.co.uk&client=ks1', 'client'],
    ['url=bbc.co.uk&client=10.0.0.1&group=ks1', 'client'],
    ['url=bbc.co.uk&group=ks1&at=yesterday', 'at'],
    ['url=bbc.co.uk&group=ks1&at=2026-02-30T00:00:00Z', 'at'],
    ['url=bbc.co.uk&group=ks1&when=now', 'when'],
  ])('names what is wrong with %s', async (query, field) => {
    expect(problem(await get(`/api/v1/explain?${query}`))).toEqual([400, 'invalid', field]);
  });
});

describe('events', () => {
  it('passes the filters on and shows times as RFC 3339', async () => {
    const query =
      'from=2026-09-07T08:00:00Z&to=2026-09-07T10:00:00Z&group=ks1&host=games.example.com&verdict=block&channel=dns&limit=5&cursor=abc';
    const answer = await get(`/api/v1/events?${query}`);
    expect(answer.json()).toEqual({
      items: [{ at: iso(START), host: 'games.example.com', action: 'block' }],
      next: 'more',
    });
    expect(gateway.searches).toEqual([
      {
        from: START - HOUR,
        to: START + HOUR,
        group: 'ks1',
        host: 'games.example.com',
        verdict: 'block',
        channel: 'dns',
        limit: 5,
        cursor: 'abc',
      },
    ]);
    await get('/api/v1/events');
    expect(gateway.searches[1]).toEqual({ limit: 100, from: undefined, to: undefined });
  });

  it.each([
    ['from=1700000000000', 'from'],
    ['from=2026-09-07T08:00:00Z&to=2026-09-07T08:00:00Z', 'to'],
    ['verdict=deny', 'verdict'],
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['limit=x', 'limit'],
    ['colour=red', 'colour'],
    ['host=a&host=b', 'host'],
    ['host=', 'host'],
  ])('names what is wrong with %s', async (query, field) => {
    expect(problem(await get(`/api/v1/events?${query}`))).toEqual([400, 'invalid', field]);
  });

  it('says so when a cursor is not one of its own', async () => {
    expect(problem(await get('/api/v1/events?cursor=bad'))).toEqual([400, 'bad-cursor', undefined]);
  });
});

describe('overrides', () => {
  it('O01: grant, list, read, revoke; in force in every thread before it answers', async () => {
    const granted = await post('/api/v1/overrides', wish());
    expect(granted.statusCode).toBe(201);
    expect(granted.json()).toMatchObject({
      state: 'in-force',
      from: iso(START),
      until: iso(START + HOUR),
      requestedBy: 'technician',
      review: true,
      endedAt: null,
    });
    expect(gateway.applied.count).toBe(1);
    const { id } = granted.json();
    expect((await get('/api/v1/overrides?state=in-force')).json()).toMatchObject({
      items: [{ id }],
      next: null,
    });
    expect((await get(`/api/v1/overrides/${id}`)).json()).toMatchObject({ id });
    const revoked = await post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' });
    expect(revoked.json()).toMatchObject({
      state: 'ended',
      endedWhy: 'revoked',
      endedBy: 'technician',
      endReason: 'lesson over',
    });
    expect((await get('/api/v1/overrides?state=in-force')).json().items).toEqual([]);
    expect(gateway.applied.count).toBe(2);
  });

  it('answers 202 with a note when a thread is slow: it is written down all the same', async () => {
    gateway.applied.fails = true;
    const granted = await post('/api/v1/overrides', wish());
    expect([granted.statusCode, typeof granted.json().note]).toEqual([202, 'string']);
    const { id } = granted.json();
    expect((await post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' })).statusCode).toBe(202);
    expect((await get(`/api/v1/overrides/${id}`)).json().state).toBe('ended');
  });

  it('two who revoke at once: one ends it, the other hears so, and there is one row in the change log', async () => {
    const { id } = (await post('/api/v1/overrides', wish())).json();
    const revoke = () => post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' });
    const both = await Promise.all([revoke(), revoke()]);
    expect(both.map((answer) => answer.statusCode)).toEqual([200, 200]);
    expect(both.map((answer) => 'note' in answer.json()).sort()).toEqual([false, true]);
    expect(gateway.changeLog.list(100, null).filter((row) => row.what === 'override.revoked')).toHaveLength(
      1,
    );
  });

  it('F02: a sealed name is refused and the attempt recorded', async () => {
    expect(problem(await post('/api/v1/overrides', wish({ names: ['sealed.example.com'] })))).toEqual([
      409,
      'sealed',
      'names',
    ]);
    expect(gateway.changeLog.list(1, null)[0]).toMatchObject({
      what: 'override.refused',
      who: 'technician',
      review: 1,
    });
    expect(gateway.applied.count).toBe(0);
  });

  it('survives a restart', async () => {
    const { id } = (await post('/api/v1/overrides', wish())).json();
    await gateway.restart();
    expect((await get('/api/v1/overrides?state=in-force')).json().items).toMatchObject([{ id }]);
  });

  it.each<[object, string]>([
    [{}, 'names'],
    [[], 'body'],
    [{ ...wish(), colour: 'red' }, 'colour'],
    [wish({ names: 'games.example.com' }), 'names'],
    [wish({ names: [] }), 'names'],
    [wish({ names: [5] }), 'names[0]'],
    [wish({ names: [null] }), 'names[0]'],
    [wish({ names: Array(51).fill('a.example.com') }), 'names'],
    [wish({ names: ['https://a.example.com/'] }), 'names[0]'],
    [wish({ names: ['co.uk'] }), 'names[0]'],
    [wish({ scope: {} }), 'scope'],
    [wish({ scope: { groups: ['ks9'] } }), 'scope.groups'],
    [wish({ scope: { group: ['ks1'] } }), 'scope.group'],
    [wish({ scope: null }), 'scope'],
    [wish({ until: START + HOUR }), 'until'],
    [wish({ until: '2026-09-07 12:00' }), 'until'],
    [wish({ until: iso(START - HOUR) }), 'until'],
    [wish({ until: '2036-09-07T12:00:00Z' }), 'until'],
    [wish({ from: 'now' }), 'from'],
    [wish({ reason: '' }), 'reason'],
    [wish({ reason: 'x'.repeat(3000) }), 'reason'],
  ])('names what is wrong with %j', async (payload, field) => {
    const answer = await post('/api/v1/overrides', payload);
    expect(problem(answer)).toEqual([400, 'invalid', field]);
    expect(answer.json().error.message).toContain(`${field}: `);
    expect(gateway.applied.count).toBe(0);
  });

  it('says everything that is wrong with the shape at once', async () => {
    const { details } = (await post('/api/v1/overrides', { names: [1], scope: {}, why: 'x' })).json().error;
    expect(details.map((one: { field: string }) => one.field)).toEqual(
      expect.arrayContaining(['names[0]', 'until', 'reason', 'why']),
    );
  });

  it('knows no such override', async () => {
    expect(problem(await get('/api/v1/overrides/nothing'))[0]).toBe(404);
    expect(problem(await post('/api/v1/overrides/nothing/revoke', { reason: 'why not' }))[0]).toBe(404);
    expect(await get('/api/v1/overrides/..%2f..%2fetc')).toMatchObject({ statusCode: 400 });
  });
});

describe('blocklists', () => {
  it('lists them, and says which hold a name', async () => {
    expect((await get('/api/v1/blocklists')).json()).toMatchObject({
      items: [{ name: 'starter-games', entries: 20 }],
      next: null,
    });
    expect((await get('/api/v1/blocklists/lookup?name=Games.Example.com.')).json()).toEqual({
      name: 'games.example.com',
      lists: [{ list: 'starter-games', category: 'games', sealed: false, entry: 'example.com' }],
    });
    expect((await get('/api/v1/blocklists/lookup?name=bbc.co.uk')).json().lists).toEqual([]);
    expect(problem(await get('/api/v1/blocklists/lookup?name=a..b'))).toEqual([400, 'invalid', 'name']);
  });
});

describe('accounts', () => {
  it('are made, listed without hashes, given passwords, disabled with their sessions, enabled, unlocked', async () => {
    const made = await post('/api/v1/accounts', {
      username: 'Sam',
      name: 'Sam Hill',
      role: 'staff',
      password: PASSWORD,
      temporary: true,
    });
    expect(made.statusCode).toBe(201);
    expect(made.json()).toMatchObject({ username: 'sam', mustChangePassword: true, createdBy: 'technician' });
    const page = (await get('/api/v1/accounts?limit=3')).json();
    expect(page.items).toHaveLength(3);
    expect(
      (await get(`/api/v1/accounts?limit=3&cursor=${page.next}`)).json().items[0].username > page.next,
    ).toBe(true);
    expect((await get('/api/v1/accounts')).body).not.toMatch(/argon2|\$/);
    const sam = gateway.accounts.find('sam');
    if (!sam) throw new Error('no sam');
    const { token } = gateway.sessions.start(sam);
    expect((await post('/api/v1/accounts/sam/disable', { reason: 'leaver' })).json().disabledAt).toBe(
      iso(START),
    );
    expect(gateway.sessions.find(token)).toBeNull();
    expect(
      (await post('/api/v1/accounts/sam/enable', { reason: 'back again' })).json().disabledAt,
    ).toBeNull();
    expect((await post('/api/v1/accounts/sam/unlock', { reason: 'asked' })).statusCode).toBe(200);
    const reset = await post('/api/v1/accounts/sam/password', {
      password: 'Green-Lamp-77',
      reason: 'forgotten',
    });
    expect(reset.json().mustChangePassword).toBe(true);
    expect(gateway.changeLog.list(4, null).map((row) => row.what)).toEqual([
      'account.password',
      'account.enabled',
      'account.disabled',
      'account.created',
    ]);
  });

  it('P02: a password that is too simple is refused with what to do', async () => {
    const answer = await post('/api/v1/accounts', {
      username: 'sam',
      name: 'Sam',
      role: 'staff',
      password: 'kettlekettle',
    });
    expect(problem(answer)).toEqual([400, 'invalid', 'password']);
    expect(answer.json().error.message).toMatch(/three of these/);
    expect(answer.body).not.toContain('kettlekettle');
  });

  it('refuse what is taken, unknown, or the last technician', async () => {
    const sam = { username: 'staff', name: 'S', role: 'staff', password: PASSWORD };
    expect(problem(await post('/api/v1/accounts', sam))).toEqual([409, 'taken', 'username']);
    expect(problem(await post('/api/v1/accounts', { ...sam, role: 'root' }))).toEqual([
      400,
      'invalid',
      'role',
    ]);
    expect(problem(await post('/api/v1/accounts/nobody/disable', { reason: 'leaver' }))).toEqual([
      404,
      'not-found',
      'username',
    ]);
    expect(problem(await post('/api/v1/accounts/technician/disable', { reason: 'leaver' }))).toEqual([
      409,
      'last-administrator',
      'username',
    ]);
    expect(problem(await post('/api/v1/accounts/staff/disable', { reason: ' ' }))).toEqual([
      400,
      'invalid',
      'reason',
    ]);
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

describe('requests that are not right', () => {
  it('404 and 405 in the form of every other error', async () => {
    expect(problem(await get('/api/v1/nothing'))).toEqual([404, 'not-found', undefined]);
    expect(problem(await get('/'))).toEqual([404, 'not-found', undefined]);
    const answer = await gateway.app.inject({ method: 'DELETE', url: '/api/v1/overrides/abc?x=1', headers });
    expect(problem(answer)).toEqual([405, 'method-not-allowed', undefined]);
    expect(answer.headers['allow']).toContain('GET');
    expect(problem(await get('/api/v1/login'))[1]).toBe('method-not-allowed');
  });

  it('bodies that are too large, not JSON, or of another kind', async () => {
    const send = (payload: string, type = 'application/json'): Promise<Answer> =>
      gateway.app.inject({
        method: 'POST',
        url: '/api/v1/login',
        payload,
        headers: { 'content-type': type },
      });
    expect(problem(await send(JSON.stringify({ username: 'x'.repeat(70_000) })))).toEqual([
      413,
      'too-large',
      undefined,
    ]);
    expect(problem(await send('{"username": '))).toEqual([400, 'not-json', undefined]);
    expect(problem(await send(''))).toEqual([400, 'not-json', undefined]);
    expect(problem(await send('username=x', 'application/x-www-form-urlencoded'))).toEqual([
      415,
      'unsupported-type',
      undefined,
    ]);
    expect(problem(await send('{}', 'text/plain'))).toEqual([415, 'unsupported-type', undefined]);
    expect(problem(await send('{"username":"a","password":"b","__proto__":{"x":1}}'))[0]).toBe(400);
    expect(
      problem(await send('{"username":"a","password":"b","constructor":{"prototype":{"x":1}}}'))[0],
    ).toBe(400);
    expect(problem(await send('['.repeat(30_000)))[0]).toBe(400);
    expect(problem(await send('[]'))[0]).toBe(400);
  });

  it('any JSON at all: an answer below 500, in the one form', async () => {
    const routes = [
      '/api/v1/login',
      '/api/v1/overrides',
      '/api/v1/overrides/x/revoke',
      '/api/v1/accounts',
      '/api/v1/accounts/x/disable',
    ];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), fc.json({ maxDepth: 4 }), async (url, payload) => {
        gateway.clock.at += 1000;
        const answer = await gateway.app.inject({
          method: 'POST',
          url,
          payload,
          headers: { ...headers, 'content-type': 'application/json' },
        });
        expect(answer.statusCode).toBeGreaterThanOrEqual(400);
        expect(answer.statusCode).toBeLessThan(500);
        expect(typeof answer.json().error.code).toBe('string');
      }),
      { numRuns: 150 },
    );
  });

  it('any address at all: never 500', async () => {
    await fc.assert(
      fc.asyncProperty(fc.webPath(), fc.webQueryParameters(), async (path, query) => {
        const answer = await gateway.app.inject({ url: `/api/v1/explain${path}?${query}`, headers });
        expect(answer.statusCode).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
  });

  it('a fault of ours is a 500 that tells the client nothing and the log everything but the address', async () => {
    gateway.checks['boom'] = undefined as never;
    const answer = await gateway.app.inject('/health?token=secret');
    expect(problem(answer)).toEqual([500, 'internal', undefined]);
    expect(answer.body).not.toMatch(/undefined|TypeError/);
    expect(JSON.stringify(gateway.logged)).toContain('"route":"/health"');
    expect(JSON.stringify(gateway.logged)).not.toContain('secret');
  });
});

describe('the Host header', () => {
  const host = (name: string, accept?: string, url = '/api/v1/health'): Promise<Answer> =>
    gateway.app.inject({ url, headers: { host: name, ...(accept !== undefined && { accept }) } });

  it.each([
    'localhost',
    'localhost:8080',
    '127.0.0.1:8080',
    '[::1]:8080',
    '10.0.0.1',
    'gateway.school.example',
    'GATEWAY.school.example.:80',
  ])('%s is our own', async (name) => {
    expect((await host(name)).statusCode).toBe(200);
  });

  it('a foreign one gets the block page, on every path and method, and no way into the API', async () => {
    for (const url of ['/', '/api/v1/health', '/api/v1/me', '/setup', '/metrics', '/any?x=1']) {
      const answer = await host('games.example.com', 'text/html', url);
      expect(answer.statusCode).toBe(403);
      expect(answer.headers['content-type']).toContain('text/html');
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.body).toContain('<strong>games.example.com</strong>');
      expect(answer.body).toContain('Example &#60;Primary&#62;');
    }
    const rebound = await gateway.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      payload: { username: 'technician', password: PASSWORD },
      headers: { host: 'evil.example' },
    });
    expect([rebound.statusCode, rebound.headers['set-cookie']]).toEqual([403, undefined]);
    expect((await host('localhost.evil.example')).statusCode).toBe(403);
  });

  it('a foreign one that takes only JSON gets JSON; a malformed one 400', async () => {
    expect(problem(await host('games.example.com', 'application/json'))).toEqual([
      403,
      'foreign-host',
      undefined,
    ]);
    for (const name of ['<script>', 'a b', '[::1', '[games]', 'x:99999999', ':80', 'a@b', '.']) {
      expect([name, ...problem(await host(name))]).toEqual([name, 400, 'bad-host', undefined]);
    }
  });
});
