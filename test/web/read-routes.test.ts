import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addEveryRole, HOUR, openGateway, PASSWORD, START } from './fixture.ts';
import type { Gateway } from './fixture.ts';

type Answer = Awaited<ReturnType<Gateway['app']['inject']>>;
let gateway: Gateway;
let headers: { authorization: string };
beforeAll(async () => {
  gateway = await openGateway();
  headers = (await addEveryRole(gateway)).technician;
});
afterAll(async () => {
  await gateway.close();
});

const get = (url: string): Promise<Answer> => gateway.app.inject({ url, headers });
const problem = (answer: Answer): [number, string, string | undefined] => {
  const { error } = answer.json();
  return [answer.statusCode, error.code, error.details?.[0]?.field];
};
const iso = (at: number): string => new Date(at).toISOString();

describe('explain', () => {
  it('gives the verdict and the numbered steps', async () => {
    const answer = await get(
      '/api/v1/explain?url=https://Games.Example.com:8443/x?y&group=ks1&at=2026-09-07T10:00:00%2B01:00',
    );
    expect(answer.json()).toMatchObject({
      host: 'games.example.com',
      at: '2026-09-07T09:00:00.000Z',
      verdict: { action: 'block', reason: 'unacceptable', group: 'ks1', until: iso(START + HOUR) },
      dns: ['asked of the servers under dns.forward'],
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
    ['url=bbc.co.uk&client=no-such', 'client'],
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
