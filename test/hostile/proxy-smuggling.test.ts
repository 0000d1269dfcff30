// Requests that two readers could take in two ways never reach an origin, nor does anything that follows them.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cannedOrigin, exchange, rawClient, rig } from '../proxy/fixture.ts';
import type { RawOrigin, Rig } from '../proxy/fixture.ts';

let r: Rig;
let origin: RawOrigin;
beforeAll(async () => {
  r = await rig();
  origin = await cannedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
});
afterAll(async () => {
  await r.close();
  await origin.close();
});

const post = (...fields: string[]) =>
  [`POST http://site.test:${origin.port}/ HTTP/1.1`, 'Host: a', ...fields, '', ''].join('\r\n');
const smuggled = () =>
  `GET http://site.test:${origin.port}/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

it.each([
  ['both framings', ['Content-Length: 4', 'Transfer-Encoding: chunked'], '0\r\n\r\n', 400],
  [
    'both framings the other way round',
    ['Transfer-Encoding: chunked', 'Content-Length: 4'],
    '0\r\n\r\n',
    400,
  ],
  ['two lengths', ['Content-Length: 0', 'Content-Length: 44'], '', 400],
  ['a list of lengths', ['Content-Length: 0, 44'], '', 400],
  ['a length with a sign', ['Content-Length: +0'], '', 400],
  ['a length in hex', ['Content-Length: 0x0'], '', 400],
  ['an unknown coding', ['Transfer-Encoding: identity'], '', 501],
  ['a coding behind chunked', ['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n', 501],
  ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n', 501],
  ['an odd spelling of chunked', ['Transfer-Encoding: "chunked"'], '0\r\n\r\n', 501],
  ['a space before the colon', ['Content-Length : 44'], '', 400],
  ['a tab before the colon', ['Transfer-Encoding\t: chunked'], '', 400],
  ['a folded line', ['X: y', ' Content-Length: 44'], '', 400],
  ['a folded coding', ['Transfer-Encoding:', ' chunked'], '0\r\n\r\n', 400],
  ['a bare line feed in a value', ['X: y\nContent-Length: 44'], '', 400],
  ['a bare carriage return in a value', ['X: y\rContent-Length: 44'], '', 400],
  ['a zero byte', ['X: y\0Content-Length: 44'], '', 400],
  ['a name that is no token', ['Content-Length\x00: 44'], '', 400],
  ['a vertical tab', ['Transfer-Encoding: \x0bchunked'], '', 400],
])('%s', async (_name, fields, body, status) => {
  const before = origin.received;
  const text = await exchange(r.proxy.port, post(...fields) + body + smuggled());
  expect(text).toContain(`HTTP/1.1 ${status} `);
  expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect(origin.received).toBe(before);
});

it.each([
  'g\r\n',
  '5 \r\nhello\r\n',
  '-5\r\n',
  '5\nhello\r\n',
  '0x5\r\nhello\r\n',
  '5\r\nhelloX\r\n0\r\n\r\n',
  '0\r\nA b: c\r\n\r\n',
  'fffffffffffffffff\r\n',
])('a broken chunk %j ends the request and the connection, and what follows it is not read', async (body) => {
  const text = await exchange(r.proxy.port, post('Transfer-Encoding: chunked') + body + smuggled());
  // the origin of this test answers at the head, so its answer may be on its way already
  expect(text === '' || /^HTTP\/1\.1 (400|200) /.test(text)).toBe(true);
  expect(origin.received).not.toContain('smuggled');
});

it('chunk extensions and their tricks do not go on', async () => {
  const text = await exchange(
    r.proxy.port,
    post('Transfer-Encoding: chunked', 'Connection: close') + '5;a="\\"\r\nhello\r\n0\r\n\r\n',
  );
  expect(text).toContain('200 OK');
  expect(origin.received.endsWith('5\r\nhello\r\n0\r\n\r\n')).toBe(true);
});

it('Connection cannot remove what frames or routes the request', async () => {
  const client = await rawClient(r.proxy.port);
  client.send(post('Connection: Content-Length, Host', 'Content-Length: 5') + 'hello');
  await client.waitFor('hi');
  expect(origin.received).toContain(`Host: site.test:${origin.port}\r\nContent-Length: 5\r\n`);
  client.socket.destroy();
});
