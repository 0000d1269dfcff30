// A name that the policy rewrites: the proxy connects to its safe form, with the request as it was, and nowhere else.

import { afterEach, describe, expect, it } from 'vitest';
import { exchange, rawClient, rawOrigin, rig, until, verdict } from './fixture.ts';
import type { RawOrigin, Rig } from './fixture.ts';
import type { Verdict } from '../../src/policy/types.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const SAFE = 'safe.engine.test';
const rewrite = (over: Partial<Verdict> = {}): Verdict =>
  verdict({
    action: 'rewrite',
    reason: 'safe-search',
    rule: 'Engine is held to safe search',
    target: SAFE,
    ...over,
  });

/** A proxy that rewrites www.engine.test, which itself lives where nothing listens. */
async function open(): Promise<Rig & { origin: RawOrigin }> {
  const r = await rig();
  closers.push(r.close);
  const origin = await rawOrigin((socket) =>
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe')),
  );
  closers.push(origin.close);
  r.engine.decide = (host) => (host === 'www.engine.test' ? rewrite() : verdict());
  r.names.set('www.engine.test', ['127.0.0.77']);
  r.names.set(SAFE, ['127.0.0.1']);
  return { ...r, origin };
}
const get = (r: Rig, port: number, host = 'www.engine.test'): Promise<string> =>
  exchange(
    r.proxy.port,
    `GET http://${host}:${port}/q HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
  );

describe('a name that is rewritten', () => {
  it('F10 GET goes to the safe form with its own Host, and is in the log as rewritten', async () => {
    const r = await open();
    expect(await get(r, r.origin.port)).toContain('safe');
    expect(r.lookups).toEqual([SAFE]);
    expect(r.origin.received).toContain(`Host: www.engine.test:${r.origin.port}\r\n`);
    expect(r.decisions).toMatchObject([
      {
        host: 'www.engine.test',
        channel: 'http',
        verdict: { action: 'rewrite', reason: 'safe-search', target: SAFE },
      },
    ]);
  });

  it('F10 CONNECT goes to the safe form', async () => {
    const r = await open();
    const client = await rawClient(r.proxy.port);
    client.send(`CONNECT www.engine.test:${r.origin.port} HTTP/1.1\r\n\r\nhello`);
    expect(await client.waitFor('safe')).toContain('HTTP/1.1 200');
    expect(r.lookups).toEqual([SAFE]);
    expect(r.origin.received).toBe('hello');
    expect(r.decisions[0]).toMatchObject({ channel: 'connect', verdict: { action: 'rewrite' } });
    client.socket.destroy();
  });

  it('F10 fails closed with a 502 page when the safe form cannot be found', async () => {
    const r = await open();
    for (const answer of [[] as string[], 'fail' as const]) {
      r.names.set(SAFE, answer);
      expect(await get(r, r.origin.port)).toContain('502 Bad Gateway');
      expect(await exchange(r.proxy.port, `CONNECT www.engine.test:443 HTTP/1.1\r\n\r\n`)).toContain('502');
    }
    expect(r.lookups.every((name) => name === SAFE)).toBe(true);
    for (const { verdict: given } of r.decisions)
      expect(given).toMatchObject({ action: 'error', reason: 'upstream', target: SAFE });
  });

  it('F10 a safe form inside the school is not connected to', async () => {
    const r = await open();
    r.names.set(SAFE, ['10.0.0.1']);
    expect(await get(r, r.origin.port)).toContain('403 Forbidden');
  });

  it('F02 F10 a sealed safe form, or a sealed name on its way, is blocked', async () => {
    const r = await open();
    const sealed = verdict({ action: 'block', reason: 'illegal' });
    const other = verdict({ action: 'block', reason: 'unacceptable' });
    const engine = r.engine.decide;
    r.engine.decide = (host, now) => (host === SAFE ? sealed : engine(host, now));
    expect(await get(r, r.origin.port)).toContain('403 Forbidden');
    r.chains.set(SAFE, ['edge.cdn.test']);
    r.engine.decide = (host, now) => (host === 'edge.cdn.test' ? sealed : engine(host, now));
    expect(await get(r, r.origin.port)).toContain('403 Forbidden');
    // a category says nothing of the form that the gateway chose itself
    r.engine.decide = (host, now) => (host === SAFE ? other : engine(host, now));
    expect(await get(r, r.origin.port)).toContain('200 OK');
  });

  it('F10 a tunnel ends when safe search comes into force, stays when it is lifted', async () => {
    const r = await open();
    const rewriting = r.engine.decide;
    r.names.set('www.engine.test', ['127.0.0.1']);
    const tunnel = async () => {
      const client = await rawClient(r.proxy.port);
      client.send(`CONNECT www.engine.test:${r.origin.port} HTTP/1.1\r\n\r\n`);
      await client.waitFor('200');
      return client;
    };
    r.engine.decide = () => verdict();
    const plain = await tunnel();
    r.engine.decide = rewriting;
    const safe = await tunnel();
    r.proxy.recheck(Date.now());
    await until(() => plain.closed);
    expect(safe.closed).toBe(false);
    r.engine.decide = () => verdict();
    r.proxy.recheck(Date.now());
    safe.send('still there?');
    await safe.waitFor('safe');
    safe.socket.destroy();
  });
});
