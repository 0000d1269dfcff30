// The server around the connections: ports, limits, slow clients, closing.

import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
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

it('OPTIONS and TRACE that may go no further are answered here', async () => {
  const r = await open();
  const text = await exchange(
    r.proxy.port,
    'OPTIONS http://a.test/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\nTRACE http://a.test/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n',
  );
  expect(text).toContain('Allow: GET');
  expect(text).toContain('message/http');
  expect(r.lookups).toEqual([]);
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
