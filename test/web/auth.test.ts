import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addAccount, login, openGateway, PASSWORD } from './fixture.ts';
import type { Gateway } from './fixture.ts';

let gateway: Gateway;
beforeEach(async () => {
  gateway = await openGateway();
  await addAccount(gateway, 'tess', 'technician');
});
afterEach(async () => {
  await gateway.close();
});
const code = (answer: { json(): { error?: { code?: string } } }): string | undefined =>
  answer.json().error?.code;

describe('signing in', () => {
  it('gives a cookie that scripts cannot read, a CSRF token and a token; not the hash (P05)', async () => {
    const answer = await login(gateway, 'Tess');
    expect(answer.statusCode).toBe(200);
    const cookie = String(answer.headers['set-cookie']);
    expect(cookie).toMatch(/^schoolgate=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(answer.json()).toMatchObject({ username: 'tess', role: 'technician', mustChangePassword: false });
    expect(answer.body).not.toMatch(/argon2|Blue-Kettle/);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(JSON.stringify(gateway.logged)).not.toMatch(
      new RegExp(`argon2|${PASSWORD}|${answer.json().token}`),
    );
  });

  it('over a real socket: cookie, CSRF token on every change, sign-out', async () => {
    const base = await gateway.app.listen({ host: '127.0.0.1', port: 0 });
    const signedIn = await fetch(`${base}/api/v1/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'tess', password: PASSWORD }),
    });
    const cookie = (signedIn.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    const me = (await (await fetch(`${base}/api/v1/me`, { headers: { cookie } })).json()) as {
      csrfToken: string;
    };
    const logout = (headers: Record<string, string>) =>
      fetch(`${base}/api/v1/logout`, { method: 'POST', headers: { cookie, ...headers } });
    for (const headers of [{}, { 'x-csrf-token': '' }, { 'x-csrf-token': `${me.csrfToken}x` }]) {
      const refused = await logout(headers as Record<string, string>);
      expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([
        403,
        'csrf',
      ]);
    }
    expect((await fetch(`${base}/api/v1/me`, { headers: { cookie } })).status).toBe(200);
    expect((await logout({ 'x-csrf-token': me.csrfToken })).status).toBe(204);
    expect((await fetch(`${base}/api/v1/me`, { headers: { cookie } })).status).toBe(401);
  });

  it('a token as Bearer needs no CSRF token; a bad Authorization does not fall back on the cookie', async () => {
    const { token } = (await login(gateway, 'tess')).json();
    const headers = { authorization: `Bearer ${token}` };
    expect((await gateway.app.inject({ url: '/api/v1/me', headers })).statusCode).toBe(200);
    const both = { authorization: 'Bearer nonsense', cookie: `schoolgate=${token}` };
    expect((await gateway.app.inject({ url: '/api/v1/me', headers: both })).statusCode).toBe(401);
    expect((await gateway.app.inject({ method: 'POST', url: '/api/v1/logout', headers })).statusCode).toBe(
      204,
    );
    expect((await gateway.app.inject({ url: '/api/v1/me', headers })).statusCode).toBe(401);
  });

  it('sessions survive a restart and end when idle', async () => {
    const { token, csrfToken } = (await login(gateway, 'tess')).json();
    await gateway.restart();
    const headers = { cookie: `schoolgate=${token}` };
    expect((await gateway.app.inject({ url: '/api/v1/me', headers })).json().csrfToken).toBe(csrfToken);
    gateway.clock.at += 10 * 60_000;
    expect((await gateway.app.inject({ url: '/api/v1/me', headers })).statusCode).toBe(401);
  });

  it('answers the same for a wrong password and an unknown name', async () => {
    const [wrong, unknown] = [
      await login(gateway, 'tess', 'Wrong-One-1'),
      await login(gateway, 'nobody', 'Wrong-One-1'),
    ];
    expect([wrong.statusCode, code(wrong)]).toEqual([401, 'wrong-password']);
    expect(unknown.body).toBe(wrong.body);
    expect(JSON.stringify(gateway.logged)).not.toContain('nobody');
  });

  it('P03: locks after six wrong passwords, says for how long, and does so for unknown names too', async () => {
    for (const name of ['tess', 'nobody']) {
      const answers = [];
      for (let i = 0; i < 6; i += 1) answers.push(await login(gateway, name, 'Wrong-One-1'));
      expect(answers.map((answer) => answer.statusCode)).toEqual([401, 401, 401, 401, 401, 423]);
      const right = await login(gateway, name);
      expect(right.statusCode).toBe(423);
      expect(right.headers['retry-after']).toBe('900');
      expect(right.json().error.message).toContain('15 minutes');
    }
    gateway.clock.at += 15 * 60_000;
    expect((await login(gateway, 'tess')).statusCode).toBe(200);
  });

  it('one child at one account is held back; the class behind the same address is not', async () => {
    await addAccount(gateway, 'sam', 'staff');
    const answers = [];
    for (let i = 0; i < 200; i += 1) answers.push((await login(gateway, 'tess', 'Wrong-One-1')).statusCode);
    expect(answers.slice(0, 5)).toEqual(Array(5).fill(401));
    expect(answers.slice(10)).toEqual(Array(190).fill(429));
    expect((await login(gateway, 'sam')).statusCode).toBe(200);
    const later = await login(gateway, 'tess', 'Wrong-One-1');
    expect([later.statusCode, later.headers['retry-after']]).toEqual([429, '60']);
    gateway.clock.at += 60_000;
    expect((await login(gateway, 'tess')).statusCode).toBe(423);
  });

  it('a flood over many names from one address is held back', async () => {
    const statuses = [];
    for (let i = 0; i < 125; i += 1) statuses.push((await login(gateway, `n${i}`, 'x')).statusCode);
    expect(statuses.filter((status) => status === 429)).toHaveLength(5);
    expect((await login(gateway, 'tess', PASSWORD, '127.0.0.2')).statusCode).toBe(200);
  });

  it('from another machine without TLS is refused, and so is a token that comes that way', async () => {
    const far = await login(gateway, 'tess', PASSWORD, '10.2.0.7');
    expect([far.statusCode, code(far)]).toEqual([403, 'tls-required']);
    const { token } = (await login(gateway, 'tess')).json();
    const used = await gateway.app.inject({
      url: '/api/v1/me',
      headers: { authorization: `Bearer ${token}` },
      remoteAddress: '10.2.0.7',
    });
    expect(code(used)).toBe('tls-required');
    expect((await login(gateway, 'tess', PASSWORD, '::ffff:127.0.0.1')).statusCode).toBe(200);
    // A header that claims to come from elsewhere changes nothing.
    const claimed = await gateway.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      payload: { username: 'tess', password: PASSWORD },
      remoteAddress: '10.2.0.7',
      headers: {
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'https',
        forwarded: 'for=127.0.0.1;proto=https',
      },
    });
    expect(code(claimed)).toBe('tls-required');
  });

  it('from this machine by another of its addresses also needs TLS', async () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal);
    // a machine without a network has none: any address that is not loopback stands for it
    const answer = await gateway.app.inject({
      method: 'POST',
      url: '/api/v1/login',
      payload: { username: 'tess', password: PASSWORD },
      remoteAddress: own?.address ?? '192.0.2.10',
    });
    expect(code(answer)).toBe('tls-required');
  });

  it('changing the password needs the present one, ends the other sessions and is in the change log', async () => {
    const [one, two] = [(await login(gateway, 'tess')).json(), (await login(gateway, 'tess')).json()];
    const change = (payload: object) =>
      gateway.app.inject({
        method: 'POST',
        url: '/api/v1/me/password',
        payload,
        headers: { authorization: `Bearer ${one.token}` },
      });
    expect((await change({ current: 'Wrong-One-1', new: 'Green-Lamp-77' })).statusCode).toBe(401);
    expect((await change({ current: PASSWORD, new: 'weak' })).json().error.details[0]).toMatchObject({
      field: 'password',
    });
    expect((await change({ current: PASSWORD, new: 'Green-Lamp-77' })).statusCode).toBe(204);
    const status = async (token: string) =>
      (await gateway.app.inject({ url: '/api/v1/me', headers: { authorization: `Bearer ${token}` } }))
        .statusCode;
    expect([await status(one.token), await status(two.token)]).toEqual([200, 401]);
    expect(gateway.changeLog.list(1, null)[0]).toMatchObject({ what: 'account.password', who: 'tess' });
    expect((await login(gateway, 'tess', 'Green-Lamp-77')).statusCode).toBe(200);
  });
});

it('serves the control socket as someone local through app.routing', async () => {
  const path = join(gateway.dir, 'control.sock');
  const trusted = new WeakSet<object>();
  const own = await openGateway({
    principalOf: (request) =>
      trusted.has(request.raw.socket) ? { who: 'local:root', role: 'technician' } : null,
  });
  const control = createServer((request, reply) => own.app.routing(request, reply));
  control.on('connection', (socket) => trusted.add(socket));
  await new Promise<void>((resolve) => control.listen(path, resolve));
  const open = createServer((request, reply) => own.app.routing(request, reply));
  await new Promise<void>((resolve) => open.listen(0, '127.0.0.1', resolve));
  try {
    const body = await new Promise<string>((resolve, reject) => {
      httpRequest({ socketPath: path, path: '/api/v1/me', headers: { host: 'localhost' } }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });
    expect(JSON.parse(body)).toMatchObject({ username: 'local:root', role: 'technician' });
    expect((await fetch(`http://127.0.0.1:${(open.address() as AddressInfo).port}/api/v1/me`)).status).toBe(
      401,
    );
  } finally {
    control.close();
    open.close();
    await own.close();
  }
});

it('answers garbage on the socket in the form of every other error', async () => {
  const base = new URL(await gateway.app.listen({ host: '127.0.0.1', port: 0 }));
  const send = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(base.port), '127.0.0.1', () => socket.write(bytes));
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });
  expect(await send('\x16\x03\x01 nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*"code":"invalid"/);
  expect(await send(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 431 [^]*headers-too-large/,
  );
  expect(await send('GET /api/v1/%zz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 404 [^]*"code":"not-found"/,
  );
  expect((await fetch(new URL('/health', base))).status).toBe(200);
});
