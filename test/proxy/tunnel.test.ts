// CONNECT over real sockets: what is checked is what is connected to, half-close, breaks, time-outs, ends on change.

import { createHash, randomFillSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ProxyAgent, request } from 'undici';
import { blocked, exchange, fakeEngine, rawClient, rawOrigin, rig, until, verdict } from './fixture.ts';
import type { RawClient, RawOrigin, Rig } from './fixture.ts';
import type { Verdict } from '../../src/policy/types.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
async function open(...args: Parameters<typeof rig>): Promise<Rig> {
  const r = await rig(...args);
  closers.push(r.close);
  return r;
}
async function raw(serve: Parameters<typeof rawOrigin>[0]): Promise<RawOrigin> {
  const origin = await rawOrigin(serve);
  closers.push(origin.close);
  return origin;
}
const echo = () => raw((socket) => void socket.pipe(socket));
async function tunnel(r: Rig, port: number, host = 'site.test'): Promise<RawClient> {
  const client = await rawClient(r.proxy.port);
  client.send(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
  await client.waitFor('\r\n\r\n');
  return client;
}

describe('a tunnel', () => {
  it('carries bytes both ways, early ones too, is in the log when it begins, and at its end with what it carried', async () => {
    const r = await open();
    const origin = await echo();
    const client = await rawClient(r.proxy.port);
    client.send(`CONNECT Site.Test:${origin.port} HTTP/1.1\r\n\r\nearly`);
    const text = await client.waitFor('early');
    expect(text).toMatch(/^HTTP\/1\.1 200 [^\r]*\r\n\r\nearly$/);
    // kill -9 from here on loses what it carried, never that it was opened
    expect(r.decisions).toMatchObject([
      { host: 'site.test', bytesIn: 0, bytesOut: 0, verdict: { action: 'allow' } },
    ]);
    expect(r.decisions[0]!.more).toBeUndefined();
    client.socket.end('x'.repeat(1000));
    await until(() => client.closed);
    expect(client.text().endsWith('early' + 'x'.repeat(1000))).toBe(true);
    expect((await r.decided(2))[1]).toMatchObject({
      more: true,
      channel: 'connect',
      method: 'CONNECT',
      host: 'site.test',
      path: null,
      bytesOut: 1005,
      verdict: { action: 'allow' },
    });
    expect(r.proxy.stats()).toMatchObject({ tunnels: 1, openTunnels: 0, open: 0 });
  });

  it('keeps the other half open when one side has ended', async () => {
    const r = await open();
    const origin = await raw((socket) => {
      socket.resume().on('end', () => setTimeout(() => socket.end('answer after your end'), 30));
    });
    const client = await tunnel(r, origin.port);
    client.socket.end('request');
    expect(await client.waitFor('answer after your end')).toBeTruthy();
    const first = await raw((socket) => {
      socket.end('only half');
    });
    const second = await rawClient(r.proxy.port);
    second.socket.removeAllListeners('end');
    second.send(`CONNECT site.test:${first.port} HTTP/1.1\r\n\r\n`);
    await second.waitFor('only half');
    await new Promise<void>((resolve) => second.socket.write('still talking', () => resolve()));
    await until(() => first.received === 'still talking');
    second.socket.end();
  });

  it('breaks on both sides when one breaks', async () => {
    const r = await open();
    const origin = await raw((socket) => void socket.on('data', () => socket.resetAndDestroy()));
    const client = await tunnel(r, origin.port);
    client.send('x');
    await until(() => client.closed);
    expect(client.reset).toBe(true);
    const other = await echo();
    const leaving = await tunnel(r, other.port);
    leaving.socket.resetAndDestroy();
    await until(() => other.sockets[0]!.destroyed);
    await r.decided(2);
    expect(r.proxy.stats()['openTunnels']).toBe(0);
  });

  it('hands big data through unchanged with slow readers at both ends', async () => {
    const r = await open();
    const big = randomFillSync(Buffer.allocUnsafe(16 * 1024 * 1024));
    const origin = await echo();
    const client = await tunnel(r, origin.port);
    client.socket.pause();
    client.socket.write(big);
    let last = -1;
    await until(() => {
      const unsent = client.socket.writableLength;
      const still = unsent === last;
      last = unsent;
      return still;
    });
    client.socket.resume();
    await until(() => client.text().length > big.length + 30);
    const head = client.text().indexOf('\r\n\r\n') + 4;
    const back = Buffer.from(client.text().slice(head), 'latin1');
    const digest = (b: Buffer) => createHash('sha256').update(b).digest('hex');
    expect(digest(back)).toBe(digest(big));
    client.socket.destroy();
  });

  it('that nothing moves through is ended, sooner when half of it has', async () => {
    const r = await open({ timeouts: { tunnel: 300, halfClosed: 100 } });
    const origin = await raw(() => {});
    const client = await tunnel(r, origin.port);
    await until(() => client.closed);
    expect(r.proxy.stats()).toMatchObject({ timedOut: 1, openTunnels: 0 });
  });

  it('serves undici as any client would use it', async () => {
    const r = await open();
    const server = createServer((req, res) => res.end(`you asked for ${req.url}`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(async () => void (await new Promise((resolve) => server.close(resolve))));
    const agent = new ProxyAgent({ uri: `http://127.0.0.1:${r.proxy.port}`, proxyTunnel: true });
    const { body } = await request(`http://site.test:${(server.address() as AddressInfo).port}/x`, {
      dispatcher: agent,
    });
    expect(await body.text()).toBe('you asked for /x');
    await agent.destroy();
  });
});

describe('a tunnel that may not be', () => {
  it('F03: gets a 403 with the page as its body, and nothing is connected or resolved', async () => {
    const r = await open();
    const text = await exchange(
      r.proxy.port,
      'CONNECT blocked.test:443 HTTP/1.1\r\nHost: blocked.test:443\r\n\r\n',
    );
    expect(text).toContain('HTTP/1.1 403 Forbidden');
    expect(text).toContain('<h1>');
    expect(r.lookups).toEqual([]);
    expect(r.decisions).toHaveLength(1);
    expect(r.decisions[0]).toMatchObject({ channel: 'connect', host: 'blocked.test', verdict: blocked });
  });
  it('is refused on ports that are not listed', async () => {
    const r = await open({ connectPorts: [443] });
    expect(await exchange(r.proxy.port, 'CONNECT site.test:25 HTTP/1.1\r\n\r\n')).toContain('403 Forbidden');
    expect(r.decisions[0]!.verdict).toMatchObject({ action: 'block', reason: 'port' });
  });
  it.each([
    'CONNECT site.test HTTP/1.1',
    'CONNECT / HTTP/1.1',
    'CONNECT http://site.test:443/ HTTP/1.1',
    'CONNECT a@b:443 HTTP/1.1',
    'CONNECT site.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked',
    'CONNECT site.test:443 HTTP/1.1\r\nContent-Length: 3',
  ])('%j is a 400', async (head) => {
    const r = await open();
    expect(await exchange(r.proxy.port, `${head}\r\n\r\n`)).toContain('HTTP/1.1 400 ');
    expect(r.lookups).toEqual([]);
  });
  it('gets 502 when nobody is there', async () => {
    const r = await open();
    const origin = await rawOrigin(() => {});
    await origin.close();
    expect(await exchange(r.proxy.port, `CONNECT site.test:${origin.port} HTTP/1.1\r\n\r\n`)).toContain(
      '502 Bad Gateway',
    );
  });
  it('gets 504 when nobody answers in time', async () => {
    const r = await open({ timeouts: { connect: 150 } });
    // a documentation address: in a sandbox it is either unreachable at once or silent
    r.names.set('far.example', ['192.0.2.1']);
    expect(await exchange(r.proxy.port, 'CONNECT far.example:443 HTTP/1.1\r\n\r\n')).toMatch(
      /HTTP\/1\.1 50[24] /,
    );
  });
});

describe('O01: when the policy changes', () => {
  it('tunnels and requests that are no longer allowed end at once, others go on', async () => {
    const r = await open();
    const origin = await echo();
    const slow = await raw((socket) => void socket.on('data', () => {}));
    const kept = await tunnel(r, origin.port, 'kept.test');
    const cut = await tunnel(r, origin.port, 'cut.test');
    const waiting = await rawClient(r.proxy.port);
    waiting.send(`GET http://cut.test:${slow.port}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => slow.received !== '');
    const halfway = await raw(
      (socket) =>
        void socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')),
    );
    const reading = await rawClient(r.proxy.port);
    reading.send(`GET http://cut.test:${halfway.port}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
    await reading.waitFor('half');
    expect(r.proxy.stats()['open']).toBe(4);

    r.engine.decide = (host) => (host === 'cut.test' ? blocked : verdict());
    r.proxy.recheck(Date.now());
    await until(() => cut.closed && reading.closed);
    expect(await waiting.waitFor('</html>')).toContain('403 Forbidden');
    await until(() => slow.sockets[0]!.readableEnded || slow.sockets[0]!.destroyed);
    kept.send('hello');
    await kept.waitFor('hello');
    expect(r.proxy.stats()).toMatchObject({ endedByChange: 3, open: 1, openTunnels: 1 });
    // kept and cut at their beginning, cut at its end, and the two requests
    const decisions = (await r.decided(5)).filter(({ more }) => !more);
    expect(decisions.map(({ verdict }) => verdict.action).sort()).toEqual([
      'allow',
      'allow',
      'allow',
      'block',
    ]);
    kept.socket.destroy();
    waiting.socket.destroy();
  });

  it('a verdict that runs out ends its tunnel by itself, with one timer for all', async () => {
    const start = Date.now();
    const engine = fakeEngine();
    const ends = new Map([
      ['a.test', start + 400],
      ['b.test', start + 200],
    ]);
    engine.decide = (host, now) => {
      const until = ends.get(host) ?? null;
      return until !== null && now >= until
        ? blocked
        : verdict({ reason: 'override', overrideId: 'o1', until });
    };
    const r = await open({}, { engine });
    const origin = await echo();
    const a = await tunnel(r, origin.port, 'a.test');
    const b = await tunnel(r, origin.port, 'b.test');
    const c = await tunnel(r, origin.port, 'c.test');
    await until(() => b.closed);
    expect(a.closed).toBe(false);
    await until(() => a.closed);
    expect(Date.now() - start).toBeLessThan(2_000);
    c.send('still here');
    await c.waitFor('still here');
    expect((await r.decided(2))[0]!.verdict).toMatchObject({ reason: 'override', overrideId: 'o1' });
    c.socket.destroy();
  });

  it('an end that is put off is kept to', async () => {
    const start = Date.now();
    let end = start + 150;
    const engine = fakeEngine();
    engine.decide = (_host, now) => (now >= end ? blocked : verdict({ until: end }));
    const r = await open({}, { engine });
    const client = await tunnel(r, (await echo()).port);
    end = start + 600;
    await until(() => client.closed);
    expect(Date.now() - start).toBeGreaterThanOrEqual(600);
  });

  it('a change while the name is being resolved counts', async () => {
    const r = await open();
    const origin = await echo();
    const client = await rawClient(r.proxy.port);
    client.send(`CONNECT site.test:${origin.port} HTTP/1.1\r\n\r\n`);
    await until(() => r.lookups.length === 1);
    r.engine.decide = () => blocked;
    r.proxy.recheck(Date.now());
    await client.waitClosed();
    expect(r.decisions.length + r.proxy.stats()['endedByChange']!).toBeGreaterThan(0);
    expect(r.proxy.stats()['openTunnels']).toBe(0);
  });
});

describe('a name that leads to another', () => {
  const sealed = verdict({ action: 'block', reason: 'illegal', rule: 'sealed list', list: 'sealed' });
  const byDefault = verdict({ action: 'block', reason: 'default-block' });
  const cases: [string, Verdict, Verdict, boolean][] = [
    ['an open name to an open one', verdict(), verdict(), true],
    ['an open name to a blocked one', verdict(), blocked, false],
    ['an open name to one that no list knows', verdict(), byDefault, true],
    ['an allowed name to a blocked one', verdict({ reason: 'local-allow' }), blocked, true],
    ['an overridden name to a blocked one', verdict({ reason: 'override' }), blocked, true],
    ['F02: an allowed name to a sealed one', verdict({ reason: 'local-allow' }), sealed, false],
    ['F02: an overridden name to a sealed one', verdict({ reason: 'override' }), sealed, false],
  ];
  it.each(cases)('%s, by GET, CONNECT and WebSocket', async (_what, asked, target, passes) => {
    const r = await open();
    const origin = await raw((socket) => void socket.on('data', () => socket.end('HTTP/1.1 204 No\r\n\r\n')));
    r.engine.decide = (host) => (host === 'to.other' ? target : asked);
    r.chains.set('site.test', ['via.other', 'to.other']);
    const url = `http://site.test:${origin.port}/`;
    const asks = [
      `GET ${url} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      `CONNECT site.test:${origin.port} HTTP/1.1\r\n\r\nhello`,
      `GET ${url} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    ];
    for (const ask of asks) {
      const client = await rawClient(r.proxy.port);
      client.send(ask);
      const text = await client.waitFor('\r\n\r\n');
      expect(text.includes('403 Forbidden')).toBe(!passes);
      client.socket.destroy();
    }
    expect(origin.sockets.length).toBe(passes ? 3 : 0);
    const done = (await r.decided(3)).filter(({ more }) => !more);
    for (const { host, verdict: recorded } of done) {
      expect(host).toBe('site.test');
      expect(recorded).toEqual(passes ? asked : target);
    }
    expect(r.proxy.stats()['blocked']).toBe(passes ? 0 : 3);
  });

  it('F02: is told as blocked even when there is nothing at its end', async () => {
    const r = await open();
    r.names.set('gone.test', []);
    r.chains.set('gone.test', ['blocked.other']);
    expect(await exchange(r.proxy.port, 'CONNECT gone.test:443 HTTP/1.1\r\n\r\n')).toContain('403 Forbidden');
    expect(r.decisions[0]!.verdict).toEqual(blocked);
  });

  it('O01: ends when the other is blocked later, or its time runs out', async () => {
    const r = await open();
    const origin = await echo();
    r.chains.set('a.test', ['to.other']).set('b.test', ['timed.other']);
    const end = Date.now() + 300;
    r.engine.decide = (host, now) =>
      host !== 'timed.other' ? verdict() : now >= end ? blocked : verdict({ until: end });
    const a = await tunnel(r, origin.port, 'a.test');
    const b = await tunnel(r, origin.port, 'b.test');
    await until(() => b.closed);
    expect(Date.now()).toBeGreaterThanOrEqual(end);
    expect(a.closed).toBe(false);
    r.engine.decide = (host) => (host === 'to.other' ? blocked : verdict());
    r.proxy.recheck(Date.now());
    await until(() => a.closed);
  });
});
