import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addEveryRole, openGateway, PASSWORD, START } from './fixture.ts';
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
