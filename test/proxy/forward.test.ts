// Plain HTTP through the proxy over real sockets: framing, streaming, reuse, failures.

import { createHash, randomFillSync } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProxyAgent, request } from 'undici';
import { blocked, cannedOrigin, exchange, rawClient, rawOrigin, rig, until, verdict } from './fixture.ts';
import type { RawOrigin, Rig } from './fixture.ts';

let r: Rig;
const closers: (() => Promise<void>)[] = [];
beforeEach(async () => {
  r = await rig({ timeouts: { head: 400, body: 600, response: 400, connect: 400, idle: 800, spare: 5_000 } });
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await r.close();
});

async function canned(answer: string): Promise<RawOrigin> {
  const origin = await cannedOrigin(answer);
  closers.push(origin.close);
  return origin;
}
async function raw(serve: Parameters<typeof rawOrigin>[0]): Promise<RawOrigin> {
  const origin = await rawOrigin(serve);
  closers.push(origin.close);
  return origin;
}
async function web(handler: (req: IncomingMessage, res: ServerResponse) => void): Promise<number> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
const get = (port: number, path = '/', ...fields: string[]) =>
  [`GET http://site.test:${port}${path} HTTP/1.1`, `Host: site.test:${port}`, ...fields, '', ''].join('\r\n');

describe('a forwarded request', () => {
  it('arrives in origin form under the name of its target, whatever Host says', async () => {
    const origin = await canned('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    const text = await exchange(
      r.proxy.port,
      `GET http://SITE.test:${origin.port}/a?b HTTP/1.1\r\nHost: blocked.test\r\nX: y\r\nConnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toContain('Via: 1.1 gateway.test');
    expect(text.endsWith('\r\n\r\nhi')).toBe(true);
    expect(origin.received).toBe(
      `GET /a?b HTTP/1.1\r\nHost: site.test:${origin.port}\r\nX: y\r\nVia: 1.1 gateway.test\r\n\r\n`,
    );
    expect(r.lookups).toEqual(['site.test']);
  });

  it('M01: is recorded once, at its end, with bytes and without its URL', async () => {
    const origin = await canned('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    await exchange(r.proxy.port, get(origin.port, '/private?who=me', 'Connection: close'));
    const [decision] = await r.decided(1);
    expect(decision).toMatchObject({
      channel: 'http',
      host: 'site.test',
      path: null,
      method: 'GET',
      policyGeneration: 3,
      indexGeneration: 7,
      verdict: { action: 'allow' },
    });
    expect(decision!.bytesIn).toBeGreaterThan(50);
    expect(decision!.bytesOut).toBeGreaterThan(2);
    expect(JSON.stringify(decision)).not.toContain('private?who');
  });

  it('shares connections on both sides', async () => {
    const origin = await canned('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    const client = await rawClient(r.proxy.port);
    for (let i = 1; i <= 5; i++) {
      client.send(get(origin.port));
      await until(() => client.text().split('hi').length - 1 === i);
    }
    expect(origin.sockets).toHaveLength(1);
    expect(r.proxy.stats()).toMatchObject({ connections: 1, requests: 5, spareOrigins: 1 });
    client.socket.destroy();
  });

  it('answers pipelined requests in order, blocked ones among them', async () => {
    const port = await web(
      (req, res) => void setTimeout(() => res.end(`[${req.url}]`), req.url === '/1' ? 40 : 0),
    );
    const client = await rawClient(r.proxy.port);
    client.send(
      get(port, '/1') + get(port, '/2') + get(port).replaceAll('site.test', 'blocked.test') + get(port, '/3'),
    );
    const text = await client.waitFor('[/3]');
    expect(text.replace(/[\s\S]*?(\[\/\d\]|403 Forbidden)/g, '$1').slice(0, 27)).toBe(
      '[/1][/2]403 Forbidden[/3]',
    );
    client.socket.destroy();
  });

  it('of HTTP/1.0 gets an answer that ends with the connection', async () => {
    const origin = await canned(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    );
    const text = await exchange(r.proxy.port, `GET http://site.test:${origin.port}/ HTTP/1.0\r\n\r\n`);
    expect(text).not.toContain('chunked');
    expect(text).toContain('Connection: close');
    expect(text.endsWith('\r\n\r\nhello')).toBe(true);
  });

  it('may come from a client that has said all it will', async () => {
    const port = await web((_req, res) => void setTimeout(() => res.end('late'), 50));
    const client = await rawClient(r.proxy.port);
    client.socket.end(get(port));
    expect(await client.waitClosed()).toContain('late');
  });
});

describe('answers', () => {
  it.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n', 'Content-Length: 999'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', '204 No Content'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n', 'ETag'],
  ])('%s %j have no body and keep the connection', async (method, answer, expected) => {
    const origin = await canned(answer);
    const client = await rawClient(r.proxy.port);
    client.send(get(origin.port).replace('GET', method));
    await client.waitFor('\r\n\r\n');
    client.send(get(origin.port).replace('GET', method));
    await until(() => client.text().split('HTTP/1.1 ').length === 3);
    expect(client.text()).toContain(expected);
    expect(client.ended).toBe(false);
    client.socket.destroy();
  });

  it('in chunks come in chunks, trailers included, extensions not', async () => {
    const origin = await canned(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nDigest: abc\r\nHost: evil\r\n\r\n',
    );
    const text = await exchange(r.proxy.port, get(origin.port, '/', 'Connection: close'));
    expect(text.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(
      '5\r\nhello\r\n6\r\n world\r\n0\r\nDigest: abc\r\n\r\n',
    );
  });

  it('that end with the connection become chunks, and the client stays', async () => {
    const origin = await raw((socket) =>
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it')),
    );
    const client = await rawClient(r.proxy.port);
    client.send(get(origin.port));
    expect(await client.waitFor('0\r\n\r\n')).toContain('9\r\nall of it\r\n0\r\n\r\n');
    expect(client.ended).toBe(false);
    client.socket.destroy();
  });

  it('of 1xx are passed on, Expect included', async () => {
    const port = await web((req, res) => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' });
      req.resume().on('end', () => res.end('done'));
    });
    const client = await rawClient(r.proxy.port);
    client.send(
      `POST http://site.test:${port}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
    );
    await client.waitFor('HTTP/1.1 100 Continue');
    client.send('hello');
    const text = await client.waitFor('done');
    expect(text).toContain('HTTP/1.1 103 Early Hints');
    client.socket.destroy();
  });

  it('before the request is whole end the connection after them', async () => {
    const origin = await raw((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')),
    );
    const client = await rawClient(r.proxy.port);
    client.send(
      `POST http://site.test:${origin.port}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n12345`,
    );
    const text = await client.waitClosed();
    expect(text).toContain('Connection: close');
    expect(text.endsWith('big')).toBe(true);
  });

  it.each([
    ['nonsense\r\n\r\n'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc'],
    ['HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n'],
    [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`],
    ['HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['HTTP/1.1 102 Processing\r\n\r\n'.repeat(20)],
  ])('that cannot be trusted become a 502 page: %.60j', async (answer) => {
    const origin = await canned(answer);
    const text = await exchange(r.proxy.port, get(origin.port, '/', 'Connection: close'));
    expect(text).toMatch(/HTTP\/1\.1 502 Bad Gateway\r\n/);
    expect((await r.decided(1))[0]!.verdict).toMatchObject({ action: 'error', reason: 'upstream' });
  });

  it('with bytes after their end never leak them into the next answer', async () => {
    const origin = await canned(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
    );
    const client = await rawClient(r.proxy.port);
    for (let i = 1; i <= 3; i++) {
      client.send(get(origin.port));
      await until(() => client.text().split('\r\n\r\nhi').length - 1 === i);
    }
    expect(client.text()).not.toContain('evil');
    expect(origin.sockets).toHaveLength(3);
    client.socket.destroy();
  });
});

describe('big bodies', () => {
  const big = randomFillSync(Buffer.allocUnsafe(24 * 1024 * 1024));
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

  it('arrive whole in both directions, with a length and in chunks', async () => {
    const port = await web((req, res) => {
      const hash = createHash('sha256');
      req.on('data', (chunk: Buffer) => hash.update(chunk));
      req.on('end', () => {
        res.setHeader('x-digest', hash.digest('hex'));
        if (req.url === '/length') res.setHeader('content-length', big.length);
        res.end(big);
      });
    });
    const agent = new ProxyAgent({ uri: `http://127.0.0.1:${r.proxy.port}`, proxyTunnel: false });
    for (const path of ['/length', '/chunks']) {
      const body =
        path === '/length'
          ? big
          : Readable.from(
              (async function* () {
                for (let at = 0; at < big.length; at += 100_000) yield big.subarray(at, at + 100_000);
              })(),
            );
      const answer = await request(`http://site.test:${port}${path}`, {
        dispatcher: agent,
        method: 'POST',
        body,
      });
      expect(answer.headers['x-digest']).toBe(digest(big));
      expect(digest(Buffer.from(await answer.body.arrayBuffer()))).toBe(digest(big));
    }
    await agent.close();
    const decisions = await r.decided(2);
    for (const { bytesIn, bytesOut } of decisions)
      expect(Math.min(bytesIn, bytesOut)).toBeGreaterThan(big.length);
  });

  it('wait for a slow reader in bounded memory', async () => {
    let sent = 0;
    const port = await web((_req, res) => {
      res.setHeader('content-length', big.length);
      const more = () => {
        while (sent < big.length) {
          const part = big.subarray(sent, sent + 65_536);
          sent += part.length;
          if (!res.write(part)) return void res.once('drain', more);
        }
        res.end();
      };
      more();
    });
    const client = await rawClient(r.proxy.port);
    client.socket.pause();
    client.send(get(port, '/', 'Connection: close'));
    await until(() => sent > 100_000);
    let last = -1;
    await until(() => {
      const still = last === sent;
      last = sent;
      return still;
    });
    // what is on its way sits in the kernel's buffers, not in ours
    expect(sent).toBeLessThan(big.length - 4 * 1024 * 1024);
    client.socket.resume();
    const text = await client.waitClosed();
    expect(text.length).toBeGreaterThan(big.length);
  });

  it('of a client wait for a slow origin', async () => {
    const origin = await raw((socket) => socket.pause());
    const client = await rawClient(r.proxy.port);
    client.send(
      `PUT http://site.test:${origin.port}/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${big.length}\r\n\r\n`,
    );
    client.socket.write(big);
    await until(() => origin.sockets.length === 1);
    let last = -1;
    await until(() => {
      const unsent = client.socket.writableLength;
      const still = last === unsent && unsent > 0;
      last = unsent;
      return still;
    });
    expect(client.socket.writableLength).toBeGreaterThan(0);
    client.socket.destroy();
    await until(() => r.proxy.stats()['connections'] === 0);
  });
});

describe('when something breaks', () => {
  it('an origin that dies midway cannot pass for a whole answer', async () => {
    for (const head of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
      const origin = await raw((socket) =>
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello`);
          setTimeout(() => socket.destroy(), 30);
        }),
      );
      const client = await rawClient(r.proxy.port);
      client.send(get(origin.port));
      await until(() => client.closed);
      expect(client.text()).not.toContain('0\r\n\r\n');
      expect(client.reset || !client.ended).toBe(true);
    }
  });

  it('a client that goes away takes the origin connection with it, and is recorded', async () => {
    const origin = await raw((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello')),
    );
    const client = await rawClient(r.proxy.port);
    client.send(get(origin.port));
    await client.waitFor('hello');
    client.socket.resetAndDestroy();
    await until(() => origin.sockets[0]!.destroyed || origin.sockets[0]!.readableEnded);
    await r.decided(1);
    expect(r.proxy.stats()).toMatchObject({ open: 0, connections: 0 });
  });

  it('a kept connection that closed is not the client’s problem', async () => {
    let served = 0;
    const origin = await raw((socket) => {
      socket.on('data', () => {
        // the second request on a connection is met by a closed door
        if (socket.bytesRead > 150) return void socket.destroy();
        served++;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
      });
    });
    const client = await rawClient(r.proxy.port);
    for (let i = 1; i <= 4; i++) {
      client.send(get(origin.port));
      await until(() => client.text().split('hi').length - 1 === i);
    }
    expect(served).toBe(4);
    client.socket.destroy();
  });

  it.each([
    [
      'refused',
      502,
      async () => {
        const o = await rawOrigin(() => {});
        await o.close();
        return o.port;
      },
    ],
    ['silent', 504, async () => (await raw(() => {})).port],
    ['closing', 502, async () => (await raw((s) => s.on('data', () => s.end()))).port],
    ['resetting', 502, async () => (await raw((s) => s.on('data', () => s.resetAndDestroy()))).port],
  ] as const)('an origin that is %s gets a %i page', async (_name, status, open) => {
    const text = await exchange(r.proxy.port, get(await open(), '/', 'Connection: close'));
    expect(text).toContain(`HTTP/1.1 ${status} `);
    expect(text).toContain('<h1>');
    expect((await r.decided(1))[0]).toMatchObject({ verdict: { action: 'error', reason: 'upstream' } });
  });

  it('a name without addresses and a dead resolver get pages of their own', async () => {
    r.names.set('gone.example', []).set('dead.example', 'fail');
    expect(
      await exchange(
        r.proxy.port,
        'GET http://gone.example/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
    ).toContain('502 Bad Gateway');
    expect(
      await exchange(
        r.proxy.port,
        'GET http://dead.example/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
    ).toContain('504 Gateway Timeout');
  });

  it('a body or an answer that stops moving is ended', async () => {
    const origin = await raw((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')),
    );
    const client = await rawClient(r.proxy.port);
    client.send(get(origin.port));
    await client.waitFor('half');
    await until(() => client.closed);
    const upload = await rawClient(r.proxy.port);
    upload.send(`POST http://site.test:${origin.port}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`);
    await upload.waitClosed();
  });
});

describe('WebSocket over plain HTTP', () => {
  it('is joined after 101, early bytes of both sides included, and recorded at its end', async () => {
    const origin = await raw((socket) => {
      socket.once('data', () => {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nEARLY',
        );
        socket.on('data', (chunk) => socket.write(`echo:${chunk.toString()}`));
      });
      socket.on('end', () => socket.end('BYE'));
    });
    const client = await rawClient(r.proxy.port);
    client.send(
      get(origin.port, '/chat', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: k'),
    );
    const head = await client.waitFor('EARLY');
    expect(head).toContain('HTTP/1.1 101');
    expect(head).toContain('Upgrade: websocket');
    expect(r.proxy.stats()['openTunnels']).toBe(1);
    client.send('ping');
    await client.waitFor('echo:ping');
    client.socket.end();
    await client.waitFor('BYE');
    expect((await r.decided(1))[0]).toMatchObject({ channel: 'http', method: 'GET' });
    expect(r.proxy.stats()['openTunnels']).toBe(0);
  });
  it('that the origin refuses is an ordinary answer', async () => {
    const origin = await canned('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno');
    expect(
      await exchange(r.proxy.port, get(origin.port, '/', 'Connection: Upgrade, close', 'Upgrade: websocket')),
    ).toContain('426');
  });
});

describe('blocked', () => {
  it('F03: a 403 page at once, recorded at once, and the connection lives on', async () => {
    const client = await rawClient(r.proxy.port);
    client.send('GET http://blocked.test/secret HTTP/1.1\r\nHost: a\r\n\r\n');
    const text = await client.waitFor('</html>');
    expect(text).toContain('HTTP/1.1 403 Forbidden');
    expect(text).toContain('Example &#60;Primary&#62;');
    expect(text).not.toContain('gambling');
    expect(r.decisions).toHaveLength(1);
    expect(r.decisions[0]).toMatchObject({ host: 'blocked.test', channel: 'http', verdict: blocked });
    client.send('HEAD http://blocked.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => r.decisions.length === 2);
    expect(client.ended).toBe(false);
    expect(r.lookups).toEqual([]);
    client.socket.destroy();
  });
  it('a posting client still gets to read its page', async () => {
    const client = await rawClient(r.proxy.port);
    client.send('POST http://blocked.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n');
    client.socket.write(Buffer.alloc(3_000_000));
    expect(await client.waitClosed()).toContain('</html>');
    expect(client.reset).toBe(false);
  });
  it('staff, and groups that extend staff, see why', async () => {
    for (const group of ['staff', 'office']) {
      r.engine.group = group;
      expect(
        await exchange(
          r.proxy.port,
          'GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
        ),
      ).toContain('starter-gambling');
    }
  });
  it('JSON for those who take nothing else', async () => {
    const text = await exchange(
      r.proxy.port,
      'GET http://blocked.test/ HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nConnection: close\r\n\r\n',
    );
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ error: { code: 'blocked' } });
  });
  it('F01: a filter with nothing to decide with says so', async () => {
    r.engine.decide = () => verdict({ action: 'block', reason: 'no-index' });
    expect(
      await exchange(r.proxy.port, 'GET http://any.test/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    ).toContain('not ready');
  });
});

describe('a login that holds for the connection (RFC 4559)', () => {
  const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
  const challenge = (...fields: string[]) =>
    `HTTP/1.1 401 Unauthorized\r\n${fields.map((field) => `WWW-Authenticate: ${field}\r\n`).join('')}Content-Length: 2\r\n\r\nhi`;
  it.each([
    ['a request with Negotiate', plain, ['Authorization: Negotiate YII='], false],
    ['a request with NTLM', plain, ['authorization: ntlm TlRM'], false],
    ['an answer that asks for Negotiate', challenge('Negotiate'), [], false],
    ['an answer that asks for NTLM among others', challenge('Basic realm="x", NTLM'), [], false],
    [
      'an answer that asks for NTLM in a field of its own',
      challenge('Basic realm="x"', 'NTLM TlRM'),
      [],
      false,
    ],
    ['a request with Basic', plain, ['Authorization: Basic YTpi'], true],
    ['an answer that asks for Basic', challenge('Basic realm="x"'), [], true],
  ])('%s: the connection serves another request: %#', async (_what, answer, fields, kept) => {
    const origin = await canned(answer);
    for (const more of [fields, []]) {
      const client = await rawClient(r.proxy.port);
      client.send(get(origin.port, '/', ...more));
      await client.waitFor('hi');
      client.socket.destroy();
    }
    expect(origin.sockets.length).toBe(kept ? 1 : 2);
    if (!kept) await until(() => origin.sockets[0]!.destroyed);
  });
});
