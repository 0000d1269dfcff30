import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROLES } from '../../src/people/roles.ts';
import type { Role } from '../../src/people/roles.ts';
import { ACCESS } from '../../src/web/access.ts';
import { addAccount, addEveryRole, HOUR, login, openGateway, PASSWORD, START } from './fixture.ts';
import type { Gateway } from './fixture.ts';

let gateway: Gateway;
let as: Record<Role, { authorization: string }>;
beforeAll(async () => {
  gateway = await openGateway();
  as = await addEveryRole(gateway);
  await addAccount(gateway, 'target', 'pupil');
});
afterAll(async () => {
  await gateway.close();
});

const override = {
  names: ['games.example.com'],
  scope: { groups: ['ks1'] },
  until: new Date(START + HOUR).toISOString(),
  reason: 'a lesson',
};
const because = { reason: 'a good one' };
/** A request that is right in every part, for each route that needs a person. */
const REQUESTS: Record<string, { url: string; payload?: object }> = {
  'POST /api/v1/logout': { url: '/api/v1/logout' },
  'GET /api/v1/me': { url: '/api/v1/me' },
  'POST /api/v1/me/password': {
    url: '/api/v1/me/password',
    payload: { current: 'Wrong-Kettle-42', new: 'x' },
  },
  'GET /api/v1/explain': { url: '/api/v1/explain?url=bbc.co.uk&group=ks1' },
  'GET /api/v1/events': { url: '/api/v1/events' },
  'GET /api/v1/audit/verify': { url: '/api/v1/audit/verify' },
  'GET /api/v1/overrides': { url: '/api/v1/overrides' },
  'GET /api/v1/overrides/:id': { url: '/api/v1/overrides/unknown' },
  'POST /api/v1/overrides': { url: '/api/v1/overrides', payload: override },
  'POST /api/v1/overrides/:id/revoke': { url: '/api/v1/overrides/unknown/revoke', payload: because },
  'GET /api/v1/records': { url: '/api/v1/records' },
  'POST /api/v1/records': {
    url: '/api/v1/records',
    payload: { name: 'printer.inside.example', type: 'A', value: '10.0.0.9', reason: 'a new printer' },
  },
  'DELETE /api/v1/records/:id': { url: '/api/v1/records/unknown', payload: because },
  'POST /api/v1/dns/purge': { url: '/api/v1/dns/purge', payload: {} },
  'GET /api/v1/status': { url: '/api/v1/status' },
  'GET /api/v1/blocklists': { url: '/api/v1/blocklists' },
  'GET /api/v1/blocklists/lookup': { url: '/api/v1/blocklists/lookup?name=games.example.com' },
  'GET /api/v1/accounts': { url: '/api/v1/accounts' },
  'POST /api/v1/accounts': {
    url: '/api/v1/accounts',
    payload: { username: 'technician', name: 'T', role: 'staff', password: PASSWORD },
  },
  'POST /api/v1/accounts/:username/password': {
    url: '/api/v1/accounts/target/password',
    payload: { password: 'Green-Lamp-77', ...because },
  },
  'POST /api/v1/accounts/:username/disable': { url: '/api/v1/accounts/target/disable', payload: because },
  'POST /api/v1/accounts/:username/enable': { url: '/api/v1/accounts/target/enable', payload: because },
  'POST /api/v1/accounts/:username/unlock': { url: '/api/v1/accounts/target/unlock', payload: because },
};
const guarded = Object.entries(ACCESS).filter(([, access]) => access !== 'anyone' && access !== 'networks');
/** Written out here a second time, so that a slip in the table shows. */
const MAY: Record<string, readonly Role[]> = {
  logout: ROLES,
  me: ROLES,
  explain: ['staff', 'technician', 'coordinator', 'headteacher'],
  events: ['technician', 'coordinator', 'headteacher'],
  audit: ['technician', 'coordinator', 'headteacher'],
  'GET overrides': ['technician', 'coordinator', 'headteacher'],
  'POST overrides': ['technician'],
  'GET records': ['technician', 'coordinator', 'headteacher'],
  'POST records': ['technician'],
  'DELETE records': ['technician'],
  dns: ['technician'],
  status: ['technician'],
  blocklists: ['technician'],
  accounts: ['technician'],
};
const mayUse = (key: string): readonly Role[] => {
  const [method, path] = key.split(' ');
  const area = path?.split('/')[3] ?? '';
  return MAY[area] ?? MAY[`${method} ${area}`] ?? [];
};

describe('D04, O04: every route, every role', () => {
  it('has a request and an expectation for every guarded route', () => {
    expect(Object.keys(REQUESTS).sort()).toEqual(guarded.map(([key]) => key).sort());
    for (const [key] of guarded) expect([key, mayUse(key).length > 0]).toEqual([key, true]);
  });

  it('has an entry for every route that exists, and a route for every entry', () => {
    const described = [...gateway.app.printRoutes({ commonPrefix: false }).matchAll(/\(([A-Z, ]+)\)/g)];
    expect(described.length).toBeGreaterThan(10);
    for (const key of Object.keys(ACCESS)) {
      const [method, url] = key.split(' ') as ['GET' | 'POST', string];
      expect([key, gateway.app.hasRoute({ method, url })]).toEqual([key, true]);
    }
  });

  describe.each(guarded.map(([key]) => key))('%s', (key) => {
    const { url, payload } = REQUESTS[key] ?? { url: '' };
    const method = key.split(' ')[0] as 'GET' | 'POST' | 'DELETE';

    it('answers 401 to nobody and to a made-up token', async () => {
      for (const headers of [
        {},
        { authorization: `Bearer ${'x'.repeat(43)}` },
        { authorization: 'Basic eDp5' },
        { cookie: 'schoolgate=x' },
      ]) {
        const answer = await gateway.app.inject({ method, url, payload, headers });
        expect(answer.statusCode).toBe(401);
        expect(answer.json()).toMatchObject({ error: { code: 'not-signed-in' } });
      }
    });

    it.each(ROLES)('as the table says for %s', async (role) => {
      const before = gateway.changeLog.list(1, null)[0]?.seq;
      const answer = await gateway.app.inject({ method, url, payload, headers: as[role] });
      const code = (answer.body === '' ? {} : answer.json()).error?.code;
      if (mayUse(key).includes(role))
        expect([401, 403]).not.toContain(code === 'wrong-password' ? 200 : answer.statusCode);
      else {
        expect([answer.statusCode, code]).toEqual([403, 'forbidden']);
        expect(gateway.changeLog.list(1, null)[0]?.seq).toBe(before);
      }
      if (key === 'POST /api/v1/logout') as = { ...as, ...(await again(role)) };
    });
  });
});

const again = async (role: Role) => {
  const account = gateway.accounts.find(role);
  if (!account) throw new Error(`no account ${role}`);
  return { [role]: { authorization: `Bearer ${gateway.sessions.start(account).token}` } };
};

describe('someone at the command line', () => {
  let local: Gateway;
  beforeAll(async () => {
    local = await openGateway({ principalOf: () => ({ who: 'local:root', role: 'technician' }) });
  });
  afterAll(async () => {
    await local.close();
  });

  it('needs neither session nor CSRF, is named in the log, and is marked for review', async () => {
    const made = await local.app.inject({
      method: 'POST',
      url: '/api/v1/overrides',
      payload: override,
      headers: { host: 'anything at all' },
    });
    expect(made.statusCode).toBe(201);
    expect(made.json()).toMatchObject({ requestedBy: 'local:root', review: true });
    expect(local.changeLog.list(1, null)[0]).toMatchObject({
      who: 'local:root',
      role: 'technician',
      review: 1,
    });
    expect((await local.app.inject('/api/v1/me')).json()).toMatchObject({
      username: 'local:root',
      csrfToken: null,
    });
    expect((await local.app.inject({ url: '/metrics', remoteAddress: '10.0.0.9' })).statusCode).toBe(200);
  });

  it('has no password to change', async () => {
    const payload = { current: 'x', new: 'y' };
    const answer = await local.app.inject({ method: 'POST', url: '/api/v1/me/password', payload });
    expect(answer.statusCode).toBe(403);
  });
});

describe('P04: a temporary password', () => {
  beforeEach(() => {
    gateway.clock.at += 120_000;
  });

  it('allows only changing it, and then everything', async () => {
    await addAccount(gateway, 'newtech', 'technician', true);
    const signedIn = (await login(gateway, 'newtech')).json();
    expect(signedIn).toMatchObject({ mustChangePassword: true });
    const headers = { authorization: `Bearer ${signedIn.token}` };
    const early = await gateway.app.inject({ url: '/api/v1/accounts', headers });
    expect([early.statusCode, early.json().error.code]).toEqual([403, 'must-change-password']);
    expect((await gateway.app.inject({ url: '/api/v1/me', headers })).statusCode).toBe(200);
    const change = (payload: object) =>
      gateway.app.inject({ method: 'POST', url: '/api/v1/me/password', payload, headers });
    expect((await change({ current: PASSWORD, new: PASSWORD })).json().error.details[0].field).toBe(
      'password',
    );
    expect((await change({ current: PASSWORD, new: 'Green-Lamp-77' })).statusCode).toBe(204);
    expect((await gateway.app.inject({ url: '/api/v1/accounts', headers })).statusCode).toBe(200);
  });
});
