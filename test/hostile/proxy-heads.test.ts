// A hundred thousand mutated request heads, seeded: through the reader, and against a live proxy over sockets.
// Nothing is thrown, the proxy still answers, and memory stays flat.

import { connect } from 'node:net';
import { domainToASCII } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBodyReader } from '../../src/proxy/body.ts';
import { isProblem, parseResponseHead, responseFraming } from '../../src/proxy/head.ts';
import { requestLines } from '../../src/proxy/headers.ts';
import { readRequest } from '../../src/proxy/read-request.ts';
import { blocked, cannedOrigin, exchange, rig, verdict } from '../proxy/fixture.ts';
import type { RawOrigin, Rig } from '../proxy/fixture.ts';

/** mulberry32: the same bytes in every run */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const SEEDS = [
  'GET http://site.test/ HTTP/1.1\r\nHost: site.test\r\nAccept: text/html\r\nConnection: keep-alive\r\n\r\n',
  'POST http://site.test:8080/form?a=b HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello',
  'PUT http://site.test/x HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'CONNECT blocked.test:443 HTTP/1.1\r\nHost: blocked.test:443\r\nProxy-Connection: keep-alive\r\n\r\n',
  'OPTIONS http://site.test HTTP/1.1\r\nHost: site.test\r\nMax-Forwards: 0\r\n\r\n',
  'GET http://[::1]:80/ HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: proxy\r\nAccept: application/json\r\nCookie: a=b; c=d\r\n\r\n',
];
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '/',
  '@',
  '%00',
  '%2e',
  '[',
  ']',
  '\\',
  '#',
  '?',
  '\xff',
  '\x80',
  '127.0.0.1',
  '0x7f.1',
  'Content-Length: 3\r\n',
  'Content-Length: -1\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: xchunked\r\n',
  'Host: other\r\n',
  'HTTP/1.1',
  'HTTP/9.9',
  'http://',
  'https://',
  'ffffffff\r\n',
  'X: ' + 'y'.repeat(3000) + '\r\n',
  'X: y\r\n'.repeat(120),
  ' folded\r\n',
];

/** Bytes that are still in use after a full collection. */
function held(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function mutate(pick: (below: number) => number): string {
  let text = SEEDS[pick(SEEDS.length)]!;
  for (let n = 1 + pick(4); n > 0; n--) {
    const at = pick(text.length + 1);
    const kind = pick(6);
    if (kind === 0) text = text.slice(0, at) + String.fromCharCode(pick(256)) + text.slice(at + 1);
    else if (kind === 1) text = text.slice(0, at) + PIECES[pick(PIECES.length)]! + text.slice(at);
    else if (kind === 2) text = text.slice(0, at) + text.slice(at + 1 + pick(8));
    else if (kind === 3) text = text.slice(0, at) + text.slice(at).toUpperCase();
    else if (kind === 4) text = text.slice(0, at) + text.slice(Math.max(0, at - 12), at) + text.slice(at);
    else text = text.slice(0, at) + PIECES[pick(PIECES.length)]! + text.slice(at + 3);
  }
  return text;
}

describe('mutated heads', () => {
  it('100,000 through the reader: each is read or refused, and what is read goes on unambiguous', () => {
    const pick = random(20_251);
    let read = 0;
    for (let i = 0; i < 100_000; i++) {
      const text = mutate(pick);
      const end = text.indexOf('\r\n\r\n');
      const head = end < 0 ? text : text.slice(0, end);
      const result = readRequest(head, domainToASCII);
      if ('fault' in result) {
        if (result.fault.status < 400) throw new Error(head);
        continue;
      }
      read++;
      const sent = requestLines(result.head, result.target, result.framing, { via: 'gw', upgrade: false });
      // one Host, at most one way to frame, no control character: whoever reads it next reads the same
      if (sent.match(/\r\nhost:/gi)?.length !== 1) throw new Error(`Host: ${JSON.stringify(head)}`);
      if ((sent.match(/\r\n(content-length|transfer-encoding):/gi)?.length ?? 0) > 1)
        throw new Error(JSON.stringify(head));
      // eslint-disable-next-line no-control-regex -- control characters are what it looks for
      if (/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n|\r\n[ \t]/.test(sent))
        throw new Error(JSON.stringify(sent));
      createBodyReader(result.framing, { data() {}, end() {} }).feed(
        Buffer.from(text.slice(end + 4), 'latin1'),
        0,
      );
    }
    expect(read).toBeGreaterThan(10_000);
  });

  it('answers of an origin are read or refused just so', () => {
    const pick = random(77);
    const answer = 'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\nConnection: x';
    for (let i = 0; i < 50_000; i++) {
      const at = pick(answer.length);
      const text = answer.slice(0, at) + PIECES[pick(PIECES.length)]! + answer.slice(at + pick(4));
      const head = parseResponseHead(text);
      if (!isProblem(head)) responseFraming(head, 'GET');
    }
  });
});

describe('a live proxy', () => {
  let r: Rig;
  let origin: RawOrigin;
  beforeAll(async () => {
    r = await rig({
      allowPrivate: [],
      timeouts: { head: 300, idle: 300, body: 300, response: 300, connect: 300 },
    });
    origin = await cannedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    // only names, so that no mutation can dial an address by accident
    r.engine.decide = (host) => (/^[0-9.]+$|:|blocked/.test(host) ? blocked : verdict());
  });
  afterAll(async () => {
    await r.close();
    await origin.close();
  });

  /** Sends one head on a connection of its own and waits until the proxy has answered or ended it. */
  const attack = (bytes: string) =>
    new Promise<void>((resolve) => {
      const socket = connect({ port: r.proxy.port, host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.on('data', () => socket.destroy());
      socket.on('close', () => resolve());
      socket.end(bytes, 'latin1');
    });

  it('15,000 over sockets: it still answers, and memory is flat', async () => {
    const pick = random(4_711);
    const wave = async (count: number) => {
      let left = count;
      await Promise.all(
        Array.from({ length: 48 }, async () => {
          while (left-- > 0) await attack(mutate(pick));
        }),
      );
    };
    await wave(5_000);
    r.decisions.length = 0; // ours, not the proxy's
    const before = held();
    await wave(10_000);
    expect(r.decisions.length).toBeGreaterThan(1_000);
    // OPTIONS and TRACE that may go no further are answered here, decided and recorded like all else
    expect(
      r.decisions.every(({ method, verdict: { action } }) => action !== 'allow' || method === 'OPTIONS'),
    ).toBe(true);
    r.decisions.length = 0;
    const grown = held() - before;
    expect(grown).toBeLessThan(8 * 1024 * 1024);
    expect(r.proxy.stats()['requests']).toBeGreaterThan(5_000);
    expect(r.proxy.stats()['malformed']).toBeGreaterThan(5_000);
    const page = await exchange(
      r.proxy.port,
      'GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(page).toContain('403 Forbidden');
    expect(r.proxy.stats()).toMatchObject({ open: 0, openTunnels: 0 });
  }, 60_000);
});
