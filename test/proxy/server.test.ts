// The server around the connections: ports, limits, slow clients, closing.

import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openProxy } from '../../src/proxy/server.ts';
import { cannedOrigin, exchange, fakeEngine, rawClient, rawOrigin, rig, until } from './fixture.ts';
import type { Rig } from './fixture.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
async function open(...args: Parameters<typeof rig>): Promise<Rig> {
  const r = await rig(...args);
  closers.push(r.close);
  return r;
}

const bare = (port: number, reusePort = false) =>
  openProxy({
    engine: fakeEngine(),
    lookup: { resolve: () => Promise.resolve({ addresses: [], chain: [] }) },
    record: () => {},
    now: () => 0,
    settings: {
      connectPorts: 'any',
      allowPrivate: [],
      own: { host: null, addresses: [] },
      school: 's',
      language: 'en',
      publicUrl: null,
    },
    address: '127.0.0.1',
    port,
    reusePort,
  });

it('two share a port by reusePort, and a taken port is an error that says so', async () => {
  const first = await bare(0, true);
  const second = await bare(first.port, true);
  expect(second.port).toBe(first.port);
  await expect(bare(first.port)).rejects.toThrow('EADDRINUSE');
  await Promise.all([first.close(0), second.close(0)]);
});

it.each([
  ['GET / HTTP/1.1\r\nHost: proxy\r\n\r\n', '400 Bad Request', 'This is a web proxy'],
  ['OPTIONS * HTTP/1.1\r\nHost: proxy\r\n\r\n', '400 Bad Request', 'This is a web proxy'],
  ['\x16\x03\x01\x00\xa5 tls hello\r\n\r\n', '400 Bad Request', '<h1>'],
  ['GET http://a.test/ HTTP/1.1\n\n', '400 Bad Request', 'CR LF'],
  ['GET http://a.test/ HTTP/1.1\r\n\r\n', '400 Bad Request', 'Host'],
  ['GET http://a.test/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', '400 Bad Request', 'Host'],
  ['GET http://a.test/ HTTP/1.1\r\nHost: a b\r\n\r\n', '400 Bad Request', 'Host'],
  ['GET http://a.test/ HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n', '417 Expectation Failed', '<h1>'],
  ['GET https://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n', '400 Bad Request', 'CONNECT'],
  ['GET http://u:p@a.test/ HTTP/1.1\r\nHost: a\r\n\r\n', '400 Bad Request', 'user name'],
  [`GET http://a.test/${'x'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, '431 ', 'too large'],
])('%.50j gets %s', async (bytes, status, words) => {
  const r = await open();
  const text = await exchange(r.proxy.port, bytes);
  expect(text).toContain(`HTTP/1.1 ${status}`);
  expect(text).toContain(words);
  expect(r.proxy.stats()['malformed']).toBe(1);
  expect(r.lookups).toEqual([]);
});

describe('OPTIONS and TRACE that may go no further', () => {
  const last = (method: string, url: string, ...fields: string[]) =>
    [`${method} ${url} HTTP/1.1`, 'Host: a', 'Max-Forwards: 0', ...fields, '', ''].join('\r\n');

  it('are answered here, and are in the log', async () => {
    const r = await open();
    const text = await exchange(
      r.proxy.port,
      last('OPTIONS', 'http://a.test/') + last('TRACE', 'http://a.test/', 'Connection: close'),
    );
    expect(text).toContain('Allow: GET');
    expect(text).toContain('message/http');
    expect(r.lookups).toEqual([]);
    expect(r.decisions.map(({ method, host, verdict }) => [method, host, verdict.action])).toEqual([
      ['OPTIONS', 'a.test', 'allow'],
      ['TRACE', 'a.test', 'allow'],
    ]);
    expect(r.decisions[0]!.bytesOut).toBeGreaterThan(0);
  });

  it.each(['OPTIONS', 'TRACE'])(
    'F01: are blocked and recorded like any other request: %s',
    async (method) => {
      const r = await open();
      for (const [url, reason] of [
        ['http://blocked.test/', 'unacceptable'],
        ['http://10.0.0.1/', 'private-address'],
      ] as const) {
        const text = await exchange(r.proxy.port, last(method, url, 'Connection: close'));
        expect(text).toContain('403 Forbidden');
        expect(r.decisions.at(-1)).toMatchObject({ method, verdict: { action: 'block', reason } });
      }
      expect(r.decisions).toHaveLength(2);
    },
  );
});

it('new settings and another resolver are taken up behind open connections, and none is cut off', async () => {
  const r = await open();
  const echo = await rawOrigin((socket) => void socket.pipe(socket));
  const origin = await cannedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
  closers.push(echo.close, origin.close);
  const tunnel = await rawClient(r.proxy.port);
  tunnel.send(`CONNECT site.test:${echo.port} HTTP/1.1\r\n\r\n`);
  await tunnel.waitFor('200');
  const client = await rawClient(r.proxy.port);
  const get = (host: string) => client.send(`GET http://${host}:${origin.port}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
  get('site.test');
  await client.waitFor('hi');
  const asked: string[] = [];
  const settings = {
    connectPorts: [443],
    allowPrivate: ['127.0.0.0/8'],
    own: { host: 'renamed.test', addresses: [] },
    school: 'Renamed School',
    language: 'en',
    publicUrl: null,
  };
  const lookup = {
    resolve(name: string) {
      asked.push(name);
      return Promise.resolve({ addresses: [{ address: '127.0.0.1', family: 4 as const }], chain: [] });
    },
  };
  r.proxy.configure(settings, lookup);
  get('other.test');
  await client.waitFor('Via: 1.1 renamed.test');
  expect(asked).toEqual(['other.test']);
  expect(r.lookups).toEqual(['site.test', 'site.test']);
  get('blocked.test');
  expect(await client.waitFor('</html>')).toContain('Renamed School');
  expect(await exchange(r.proxy.port, `CONNECT site.test:${echo.port} HTTP/1.1\r\n\r\n`)).toContain('403');
  tunnel.send('still here');
  await tunnel.waitFor('still here');
  // what cannot be read changes nothing
  expect(() => r.proxy.configure({ ...settings, school: 'X', allowPrivate: ['in valid'] }, lookup)).toThrow(
    'in valid',
  );
  get('blocked.test');
  await until(() => client.text().split('Renamed School').length > 2);
  client.socket.destroy();
  tunnel.socket.destroy();
});

it('one client cannot take every connection', async () => {
  const r = await open({ maxPerClient: 2 });
  const kept = [await rawClient(r.proxy.port), await rawClient(r.proxy.port)];
  const from = (localAddress: string) => {
    const socket = connect({ port: r.proxy.port, host: '127.0.0.1', localAddress });
    socket.on('error', () => {});
    return socket;
  };
  const third = from('127.0.0.1');
  await new Promise<void>((resolve) => third.once('close', () => resolve()));
  expect(r.proxy.stats()).toMatchObject({ crowded: 1, connections: 2 });
  const other = from('127.0.0.2');
  let answer = '';
  other.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  other.write('GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => answer.includes('</html>'));
  kept[0]!.socket.destroy();
  await until(() => r.proxy.stats()['connections'] === 2);
  const again = await rawClient(r.proxy.port);
  again.send('GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
  await again.waitFor('</html>');
  for (const socket of [kept[1]!.socket, other, again.socket]) socket.destroy();
  await until(() => r.proxy.stats()['connections'] === 0);
});

it('slow heads and silent connections are ended', async () => {
  const r = await open({ timeouts: { head: 200, idle: 400 } });
  const slow = await rawClient(r.proxy.port);
  slow.send('GET http://a.test/ HT');
  const drip = setInterval(() => slow.send('T'), 50);
  expect(await slow.waitClosed()).toContain('408 Request Timeout');
  clearInterval(drip);
  const silent = await rawClient(r.proxy.port);
  await until(() => silent.closed || silent.ended);
  slow.socket.destroy();
});

it('a head may come byte by byte, after an empty line', async () => {
  const r = await open();
  const client = await rawClient(r.proxy.port);
  for (const char of '\r\nGET http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n') {
    client.socket.write(char);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await client.waitFor('</html>')).toContain('403');
  client.socket.destroy();
});

it('connections beyond the limit are turned away, the others go on', async () => {
  const r = await open({ maxConnections: 2 });
  const kept = [await rawClient(r.proxy.port), await rawClient(r.proxy.port)];
  const third = connect({ port: r.proxy.port, host: '127.0.0.1' });
  third.on('error', () => {});
  await new Promise<void>((resolve) => third.once('close', () => resolve()));
  kept[0]!.send('GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
  await kept[0]!.waitFor('</html>');
  for (const client of kept) client.socket.destroy();
});

it('a client that asks for much and reads nothing is held, not buffered', async () => {
  const r = await open({ timeouts: { head: 60_000 } });
  const client = await rawClient(r.proxy.port);
  client.socket.pause();
  const ask = 'GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1000);
  for (let i = 0; i < 60; i++) client.socket.write(ask);
  let last = -1;
  await until(() => {
    const now = r.proxy.stats()['blocked']!;
    const still = now === last && now > 0;
    last = now;
    return still;
  });
  expect(last).toBeLessThan(20_000);
  client.socket.resume();
  await until(() => r.proxy.stats()['blocked']! > last + 1000);
  client.socket.destroy();
});

it('closing lets the request under way finish, ends the idle at once and tunnels after the grace', async () => {
  const r = await rig();
  const slow = await rawOrigin((socket) => {
    socket.on('data', () =>
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate'), 150),
    );
  });
  const idle = await rawClient(r.proxy.port);
  const busy = await rawClient(r.proxy.port);
  busy.send(`GET http://site.test:${slow.port}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
  const tunnel = await rawClient(r.proxy.port);
  tunnel.send(`CONNECT site.test:${slow.port} HTTP/1.1\r\n\r\n`);
  await tunnel.waitFor('200');
  await until(() => slow.received.includes('GET'));
  const closed = r.proxy.close(600);
  await until(() => idle.ended);
  expect(tunnel.closed).toBe(false);
  const text = await busy.waitClosed();
  expect(text).toContain('Connection: close');
  expect(text).toContain('late');
  await closed;
  await until(() => tunnel.closed);
  expect(r.decisions.filter((decision) => !decision.more)).toHaveLength(2);
  await expect(rawClient(r.proxy.port)).rejects.toThrow('ECONNREFUSED');
  await slow.close();
});

it('spare connections to origins do not stay for ever', async () => {
  const r = await open({ timeouts: { spare: 100 } });
  const origin = await cannedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
  await exchange(
    r.proxy.port,
    `GET http://site.test:${origin.port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  );
  await until(() => r.proxy.stats()['spareOrigins'] === 0);
  await until(() => origin.sockets[0]!.destroyed);
  await origin.close();
});
