import { decode, encode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createExchange } from '../../src/resolver/exchange.ts';
import type { ExchangeDeps } from '../../src/resolver/exchange.ts';
import { createHostFinder } from '../../src/resolver/host-finder.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import type { AnyUpstream, Exchange } from '../../src/resolver/types.ts';
import { parseSecureUpstream } from '../../src/resolver/upstreams.ts';
import { otherCertificate, testAuthority } from '../support/certificate.ts';
import { addressRecord, answerTo, startScriptedUpstream } from './scripted-upstream.ts';
import { framed, goodAnswer, respond, startHttpsUpstream, startTlsUpstream } from './secure-upstream.ts';
import type { SecureAsked } from './secure-upstream.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});
const kept = <T extends { close(): unknown }>(item: T): T => {
  open.push(item);
  return item;
};

function exchangeTo(upstreams: AnyUpstream[], more: Partial<ExchangeDeps> = {}): Exchange {
  const exchange = createExchange({
    upstreams,
    now: Date.now,
    randomId: createRandomIds(),
    timeoutMs: 4000,
    retryMs: 1000,
    authorities: testAuthority,
    ...more,
  });
  open.unshift(exchange);
  return exchange;
}

const tls = (port: number, host = 'dns.test'): AnyUpstream =>
  parseSecureUpstream(`tls://127.0.0.1:${port}#${host}`);
const https = (port: number): AnyUpstream =>
  parseSecureUpstream(`https://127.0.0.1:${port}/dns-query#dns.test`);

const queryFor = (name: string, id = 77): Buffer =>
  encode({
    type: 'query',
    id,
    flags: 0x0100,
    questions: [{ type: 'A', name, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1232,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });

const dataOf = (answer: Uint8Array): unknown[] =>
  (decode(Buffer.from(answer)).answers ?? []).map((record) => ('data' in record ? record.data : null));

describe('DNS over TLS upstream', () => {
  it('asks on one kept connection, padded to blocks of 128, and checks the certificate', async () => {
    const server = kept(await startTlsUpstream());
    const exchange = exchangeTo([tls(server.port)]);
    const answer = await exchange.query(queryFor('WWW.Example.org', 4321));
    expect(decode(Buffer.from(answer))).toMatchObject({ id: 4321, questions: [{ name: 'WWW.Example.org' }] });
    expect(dataOf(answer)).toEqual(['192.0.2.1']);
    await exchange.query(queryFor('b.example'));
    expect(server.connections()).toBe(1);
    expect(server.asked.map(({ bytes }) => bytes.length % 128)).toEqual([0, 0]);
  });

  it('answers 1,000 questions at once over one connection, in whatever order the answers come', async () => {
    const waiting: (() => void)[] = [];
    const server = kept(
      await startTlsUpstream((asked, socket) => {
        waiting.push(() => socket.write(framed(goodAnswer(asked))));
        if (waiting.length === 1000) for (const send of waiting.reverse()) send();
      }),
    );
    const exchange = exchangeTo([tls(server.port)], { retryMs: 4000 });
    const names = Array.from({ length: 1000 }, (_, i) => `n${i}.example`);
    const answers = await Promise.all(names.map((name, i) => exchange.query(queryFor(name, i))));
    expect(answers.map((answer) => decode(Buffer.from(answer)).questions?.[0]?.name)).toEqual(names);
    expect(answers.map((answer) => decode(Buffer.from(answer)).id)).toEqual(names.map((_, i) => i));
    expect(server.connections()).toBe(1);
  });

  it.each([
    ['for another name', { cert: otherCertificate }, {}],
    ['by an authority that is not trusted', {}, { authorities: null }],
  ])('gives no answer when the certificate is %s, and asks nobody in plain', async (_what, served, more) => {
    const server = kept(await startTlsUpstream(undefined, served));
    const exchange = exchangeTo([tls(server.port)], more);
    await expect(exchange.query(queryFor('a.example'))).rejects.toThrow(
      `no answer from tls://127.0.0.1:${server.port}#dns.test`,
    );
    expect(server.asked).toEqual([]);
    expect(exchange.upstreams()[0]?.failures).toBeGreaterThan(0);
  });

  it('checks a certificate against the address when no name is written', async () => {
    const server = kept(await startTlsUpstream());
    const exchange = exchangeTo([parseSecureUpstream(`tls://127.0.0.1:${server.port}`)]);
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
  });

  it('reads an answer that comes a byte at a time', async () => {
    const server = kept(
      await startTlsUpstream(async (asked, socket) => {
        for (const byte of framed(goodAnswer(asked))) {
          socket.write(Buffer.from([byte]));
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    expect(dataOf(await exchangeTo([tls(server.port)]).query(queryFor('a.example')))).toEqual(['192.0.2.1']);
  });

  it('asks again on a new connection when the server closes a kept one under a question, taking the session up again', async () => {
    const server = kept(
      await startTlsUpstream((asked, socket) => {
        if (asked.name === 'b.example' && asked.connection === 1)
          socket.end(framed(goodAnswer(asked)).subarray(0, 9));
        else socket.write(framed(goodAnswer(asked)));
      }),
    );
    const exchange = exchangeTo([tls(server.port)]);
    await exchange.query(queryFor('a.example'));
    expect(dataOf(await exchange.query(queryFor('b.example')))).toEqual(['192.0.2.1']);
    expect(server.connections()).toBe(2);
    expect(server.resumed()).toBe(1);
  });

  it.each([
    ['garbage', (): Buffer => Buffer.alloc(64, 0xff)],
    ['a message of nothing', (): Buffer => Buffer.from([0, 0])],
    [
      'an answer to what was not asked',
      (asked: SecureAsked): Buffer => framed(goodAnswer({ ...asked, id: asked.id ^ 1 })),
    ],
    [
      'an answer to another question',
      (asked: SecureAsked): Buffer =>
        framed(answerTo(asked, [], { questions: [{ type: 'A', name: 'evil.example', class: 'IN' }] })),
    ],
  ])('goes on to the next upstream after %s', async (_what, reply) => {
    const bad = kept(await startTlsUpstream((asked, socket) => socket.write(reply(asked))));
    const good = kept(await startTlsUpstream());
    const exchange = exchangeTo([tls(bad.port), tls(good.port)], { retryMs: 200 });
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
  });

  it('mixes with plain upstreams, and is left for last when it fails', async () => {
    const plain = kept(await startScriptedUpstream());
    const dead = await startTlsUpstream();
    dead.close();
    const exchange = exchangeTo([tls(dead.port), { address: plain.address, port: plain.port }]);
    for (let i = 0; i < 4; i++) await exchange.query(queryFor(`n${i}.example`));
    expect(exchange.upstreams().map(({ kind, up }) => [kind, up])).toEqual([
      ['tls', false],
      ['udp', true],
    ]);
  });

  it('finds its host through the bootstrap servers, and says so when there are none', async () => {
    const server = kept(await startTlsUpstream());
    const plain = kept(await startScriptedUpstream());
    plain.script = (asked) => [
      answerTo(asked, asked.type === 'A' ? [addressRecord(asked.name, '127.0.0.1')] : []),
    ];
    const bootstrap = exchangeTo([{ address: plain.address, port: plain.port }]);
    const finder = createHostFinder({ open: () => bootstrap, now: Date.now });
    const upstream = parseSecureUpstream(`tls://dns.test:${server.port}`);
    const exchange = exchangeTo([upstream], { findHost: finder.find });
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
    expect(plain.asked.map(({ name }) => name.toLowerCase())).toEqual(['dns.test', 'dns.test']);

    const nobody = createHostFinder({ open: () => null, now: Date.now });
    await expect(nobody.find('dns.test')).rejects.toThrow(/dns\.bootstrap/);
    await expect(
      exchangeTo([upstream], { findHost: nobody.find }).query(queryFor('a.example')),
    ).rejects.toThrow(/no answer from tls:\/\/dns\.test/);
  });
});

describe('DNS over HTTPS upstream', () => {
  it.each([
    ['HTTP/2', false, '2.0'],
    ['HTTP/1.1', true, '1.1'],
  ])('asks by POST over %s, with id 0 and padding', async (_what, old, version) => {
    const server = kept(await startHttpsUpstream(undefined, old));
    const exchange = exchangeTo([https(server.port)]);
    const answer = await exchange.query(queryFor('WWW.Example.org', 4321));
    expect(decode(Buffer.from(answer))).toMatchObject({ id: 4321, questions: [{ name: 'WWW.Example.org' }] });
    await exchange.query(queryFor('b.example'));
    expect(server.requests[0]).toEqual({ method: 'POST', path: '/dns-query', version });
    expect(server.asked.map(({ id, bytes }) => [id, bytes.length % 128])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(server.connections()).toBeLessThanOrEqual(old ? 2 : 1);
  });

  it('answers 300 questions at once', async () => {
    const server = kept(await startHttpsUpstream());
    const exchange = exchangeTo([https(server.port)], { retryMs: 4000 });
    const names = Array.from({ length: 300 }, (_, i) => `n${i}.example`);
    const answers = await Promise.all(names.map((name) => exchange.query(queryFor(name))));
    expect(answers.map((answer) => decode(Buffer.from(answer)).questions?.[0]?.name)).toEqual(names);
    expect(server.connections()).toBe(1);
  });

  it('asks once more on a new session after GOAWAY or a refused stream', async () => {
    let turn = 0;
    const server = kept(
      await startHttpsUpstream((asked, response, session) => {
        turn++;
        if (turn === 2) {
          session?.goaway(0, 0);
          session?.destroy();
        } else if (turn === 4) response.stream.close(7);
        else respond(response, goodAnswer(asked));
      }),
    );
    const exchange = exchangeTo([https(server.port)], { retryMs: 3000 });
    for (let i = 0; i < 4; i++) {
      expect(dataOf(await exchange.query(queryFor(`n${i}.example`)))).toEqual(['192.0.2.1']);
    }
    expect(turn).toBe(6);
    expect(exchange.upstreams()[0]?.failures).toBe(0);
  });

  it.each<[string, (asked: SecureAsked, response: Parameters<typeof respond>[0]) => void]>([
    ['an error status', (_asked, response) => void response.writeHead(503).end()],
    [
      'a page instead of a message',
      (_asked, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
    ],
    ['an empty message', (_asked, response) => respond(response, new Uint8Array(0))],
    ['an endless body', (_asked, response) => respond(response, Buffer.alloc(200_000))],
    [
      'a body that breaks off',
      (asked, response) => {
        response.writeHead(200, { 'content-type': 'application/dns-message' });
        response.write(goodAnswer(asked).subarray(0, 20));
        response.stream.close(2);
      },
    ],
  ])('goes on to the next upstream after %s', async (_what, script) => {
    const bad = kept(await startHttpsUpstream(script));
    const good = kept(await startHttpsUpstream());
    const exchange = exchangeTo([https(bad.port), https(good.port)], { retryMs: 500 });
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
  });
});
