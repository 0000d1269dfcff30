import { describe, expect, it } from 'vitest';
import {
  isPersistent,
  isProblem,
  MAX_FIELDS,
  parseRequestHead,
  parseResponseHead,
  requestFraming,
  responseFraming,
} from '../../src/proxy/head.ts';
import type { RequestHead, ResponseHead } from '../../src/proxy/head.ts';
import { asksWebSocket, requestLines, responseLines, trailerLines } from '../../src/proxy/headers.ts';
import { answerAsLast } from '../../src/proxy/own-answers.ts';
import type { Target } from '../../src/proxy/target.ts';

const target: Target = {
  host: 'example.com',
  isAddress: false,
  port: 80,
  authority: 'example.com',
  path: '/p',
};
const request = (...fields: string[]): RequestHead => {
  const head = parseRequestHead(['GET http://example.com/p HTTP/1.1', ...fields].join('\r\n'));
  if (isProblem(head)) throw new Error(head.problem);
  return head;
};
const response = (first: string, ...fields: string[]): ResponseHead => {
  const head = parseResponseHead([first, ...fields].join('\r\n'));
  if (isProblem(head)) throw new Error(head.problem);
  return head;
};
const sent = (head: RequestHead, upgrade = false) =>
  requestLines(head, target, requestFraming(head) as { kind: 'none' }, { via: 'gw', upgrade }).split('\r\n');

describe('a request head', () => {
  it.each([
    ['GET  http://a/ HTTP/1.1', 400],
    ['GET http://a/ b HTTP/1.1', 400],
    ['GET http://a/', 400],
    [' GET http://a/ HTTP/1.1', 400],
    ['G@T http://a/ HTTP/1.1', 400],
    ['GET http://a/ HTTP/2.0', 505],
    ['PRI * HTTP/2.0', 505],
    ['GET http://a/ HTTP/0.9', 505],
    ['GET http://a/ http/1.1', 400],
    ['GET http://a/ HTTP/1.1 ', 400],
    ['GET http://a/\x00 HTTP/1.1', 400],
    ['GET http://a/\n HTTP/1.1', 400],
    ['', 400],
    ['GET http://a/ HTTP/1.1\r\nHost : a', 400],
    ['GET http://a/ HTTP/1.1\r\n Host: a', 400],
    ['GET http://a/ HTTP/1.1\r\nHost: a\r\n folded', 400],
    ['GET http://a/ HTTP/1.1\r\nHost: a\r\n\tfolded: x', 400],
    ['GET http://a/ HTTP/1.1\r\nNoColon', 400],
    ['GET http://a/ HTTP/1.1\r\n: value', 400],
    ['GET http://a/ HTTP/1.1\r\nX: a\nY: b', 400],
    ['GET http://a/ HTTP/1.1\r\nX: a\rY: b', 400],
    ['GET http://a/ HTTP/1.1\r\nX: a\0b', 400],
    ['GET http://a/ HTTP/1.1\r\nX\xe9: a', 400],
    [`GET http://a/ HTTP/1.1${'\r\nX: a'.repeat(MAX_FIELDS + 1)}`, 431],
    [`${'G'.repeat(33)} http://a/ HTTP/1.1`, 400],
  ])('%j is refused with %i', (text, status) => {
    expect(parseRequestHead(text)).toMatchObject({ status });
  });

  it('keeps spelling and bytes of values, trims blanks', () => {
    expect(request('X-A: \t caf\xe9 \t ', 'x-b:').fields).toEqual([
      { name: 'X-A', key: 'x-a', value: 'caf\xe9' },
      { name: 'x-b', key: 'x-b', value: '' },
    ]);
  });
});

describe('framing of a request', () => {
  it.each([
    [[], { kind: 'none' }],
    [['Content-Length: 0'], { kind: 'length', length: 0 }],
    [['Content-Length: 12'], { kind: 'length', length: 12 }],
    [['Content-Length: 12', 'content-length: 12'], { kind: 'length', length: 12 }],
    [['Transfer-Encoding: Chunked'], { kind: 'chunked' }],
    [['Content-Length: 12', 'Content-Length: 13'], { status: 400 }],
    [['Content-Length: 12, 12'], { status: 400 }],
    [['Content-Length: +12'], { status: 400 }],
    [['Content-Length: 0x1'], { status: 400 }],
    [['Content-Length: 1 2'], { status: 400 }],
    [['Content-Length: -1'], { status: 400 }],
    [['Content-Length:'], { status: 400 }],
    [['Content-Length: 9999999999999999'], { status: 400 }],
    [['Content-Length: 5', 'Transfer-Encoding: chunked'], { status: 400 }],
    [['Transfer-Encoding: gzip, chunked'], { status: 501 }],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], { status: 501 }],
    [['Transfer-Encoding: chunked, identity'], { status: 501 }],
    [['Transfer-Encoding: xchunked'], { status: 501 }],
    [['Transfer-Encoding: \x0bchunked'.replace('\x0b', '"')], { status: 501 }],
  ])('%j', (fields, expected) => {
    expect(requestFraming(request(...fields))).toMatchObject(expected);
  });
  it('has no transfer codings in HTTP/1.0', () => {
    const head = parseRequestHead('POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked') as RequestHead;
    expect(requestFraming(head)).toMatchObject({ status: 400 });
  });
});

describe('framing of a response', () => {
  it.each([
    ['HTTP/1.1 200 OK', [], 'GET', { kind: 'close' }],
    ['HTTP/1.1 200', ['Content-Length: 3'], 'GET', { kind: 'length', length: 3 }],
    ['HTTP/1.1 200 OK', ['Content-Length: 3'], 'HEAD', { kind: 'none' }],
    ['HTTP/1.1 304 Not Modified', ['Content-Length: 3'], 'GET', { kind: 'none' }],
    ['HTTP/1.1 204 No Content', ['Transfer-Encoding: chunked'], 'GET', { kind: 'none' }],
    ['HTTP/1.1 200 OK', ['Transfer-Encoding: chunked'], 'GET', { kind: 'chunked' }],
    ['HTTP/1.1 200 OK', ['Transfer-Encoding: gzip'], 'GET', { status: 400 }],
    ['HTTP/1.1 200 OK', ['Transfer-Encoding: chunked', 'Content-Length: 3'], 'GET', { status: 400 }],
    ['HTTP/1.0 200 OK', ['Transfer-Encoding: chunked'], 'GET', { status: 400 }],
    ['HTTP/1.1 200 OK', ['Content-Length: 3', 'Content-Length: 4'], 'GET', { status: 400 }],
  ])('%s %j to %s', (first, fields, method, expected) => {
    expect(responseFraming(response(first, ...fields), method)).toMatchObject(expected);
  });
  it.each(['HTTP/2 200 OK', 'HTTP/1.1 99 Low', 'HTTP/1.1 2000 OK', 'HTTP/1.1  200 OK', 'ICY 200 OK', ''])(
    '%j is no status line',
    (text) => {
      expect(parseResponseHead(text)).toMatchObject({ status: 400 });
    },
  );
});

describe('what goes to the origin', () => {
  it('loses all that is for this hop or tells who asks', () => {
    const lines = sent(
      request(
        'Host: other.example',
        'Connection: keep-alive, X-Secret',
        'X-Secret: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'TE: trailers',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMA',
        'X-Forwarded-For: 10.2.0.7',
        'Forwarded: for=10.2.0.7',
        'Cookie: a=b',
      ),
    );
    expect(lines).toEqual(['GET /p HTTP/1.1', 'Host: example.com', 'Cookie: a=b', 'Via: 1.1 gw', '', '']);
  });
  it('cannot be talked out of Host, length and framing by Connection', () => {
    const lines = sent(
      request('Host: x', 'Connection: host, content-length, transfer-encoding', 'Content-Length: 5'),
    );
    expect(lines).toContain('Host: example.com');
    expect(lines).toContain('Content-Length: 5');
  });
  it('keeps a WebSocket upgrade and nothing else', () => {
    const head = request('Host: a', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: k');
    expect(asksWebSocket(head)).toBe(true);
    expect(sent(head, true)).toEqual(
      expect.arrayContaining(['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: k']),
    );
    expect(asksWebSocket(request('Connection: Upgrade', 'Upgrade: h2c'))).toBe(false);
    expect(asksWebSocket(request('Upgrade: websocket'))).toBe(false);
  });
  it('counts Max-Forwards down for OPTIONS and asks for a whole server with *', () => {
    const head = parseRequestHead(
      'OPTIONS http://example.com HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3',
    ) as RequestHead;
    const lines = requestLines(
      head,
      { ...target, path: '/' },
      { kind: 'none' },
      { via: 'gw', upgrade: false },
    );
    expect(lines).toContain('OPTIONS * HTTP/1.1\r\n');
    expect(lines).toContain('Max-Forwards: 2\r\n');
  });
  it('is answered here when Max-Forwards has run out', () => {
    const head = parseRequestHead(
      'TRACE http://example.com/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: s=1\r\nX: y',
    ) as RequestHead;
    const text = answerAsLast(head)!;
    expect(text).toContain('message/http');
    expect(text).toContain('X: y');
    expect(text).not.toContain('Cookie');
    expect(answerAsLast(request('Max-Forwards: 0'))).toBeNull();
  });
});

describe('what goes to the client', () => {
  const lines = (
    head: ResponseHead,
    framing: { kind: 'none' | 'chunked' | 'close' } | { kind: 'length'; length: number },
    keep = true,
  ) => responseLines(head, framing, { via: 'gw', keep, upgrade: false }).split('\r\n');
  it('is framed anew', () => {
    const head = response(
      'HTTP/1.1 200 OK',
      'Transfer-Encoding: chunked',
      'Connection: close',
      'Proxy-Authenticate: Basic',
      'X: y',
    );
    expect(lines(head, { kind: 'chunked' })).toEqual([
      'HTTP/1.1 200 OK',
      'X: y',
      'Transfer-Encoding: chunked',
      'Via: 1.1 gw',
      '',
      '',
    ]);
  });
  it('keeps the length of a HEAD or 304 answer, once, and of nothing that must not have one', () => {
    const head = response('HTTP/1.1 304 Not Modified', 'Content-Length: 7', 'Content-Length: 7');
    expect(lines(head, { kind: 'none' }).filter((line) => line === 'Content-Length: 7')).toHaveLength(1);
    expect(
      lines(response('HTTP/1.1 204 No Content', 'Content-Length: 7'), { kind: 'none' }).join(),
    ).not.toContain('Length');
  });
  it('says when the connection ends', () => {
    expect(lines(response('HTTP/1.1 200 OK'), { kind: 'close' }, false)).toContain('Connection: close');
  });
  it('drops trailers that could alter the message', () => {
    const fields = response(
      'HTTP/1.1 200 OK',
      'Digest: a',
      'Content-Length: 1',
      'Set-Cookie: a',
      'Host: b',
      'Proxy-X: c',
    ).fields;
    expect(trailerLines(fields)).toBe('Digest: a\r\n');
  });
});

it('a connection persists only when HTTP/1.1 does not say close', () => {
  expect(isPersistent(request())).toBe(true);
  expect(isPersistent(request('Connection: X, Close'))).toBe(false);
  expect(isPersistent(request('Proxy-Connection: close'))).toBe(false);
  expect(
    isPersistent(parseRequestHead('GET http://a/ HTTP/1.0\r\nConnection: keep-alive') as RequestHead),
  ).toBe(false);
});
