import { TRUNCATED_RESPONSE, decode, encode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createExchange } from '../../src/resolver/exchange.ts';
import type { ExchangeDeps } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { addressRecord, answerTo, startScriptedUpstream } from './scripted-upstream.ts';
import type { ScriptedUpstream } from './scripted-upstream.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});

async function upstreamServer(): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  open.push(upstream);
  return upstream;
}

function exchangeTo(upstreams: ScriptedUpstream[], more: Partial<ExchangeDeps> = {}): Exchange {
  const exchange = createExchange({
    upstreams: upstreams.map(({ address, port }) => ({ address, port })),
    now: Date.now,
    randomId: createRandomIds(),
    timeoutMs: 2000,
    retryMs: 80,
    ...more,
  });
  open.unshift(exchange);
  return exchange;
}

const queryFor = (name: string, id = 77): Buffer =>
  encode({ type: 'query', id, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] });

const dataOf = (answer: Uint8Array): unknown[] =>
  (decode(Buffer.from(answer)).answers ?? []).map((record) => ('data' in record ? record.data : null));

/** An address where nobody listens: an upstream that was closed again. */
async function deadServer(): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  await upstream.close();
  return upstream;
}

describe('exchange', () => {
  it('gives the answer under the query’s own id and spelling', async () => {
    const upstream = await upstreamServer();
    const answer = await exchangeTo([upstream]).query(queryFor('WWW.Example.org', 4321));
    expect(decode(Buffer.from(answer))).toMatchObject({ id: 4321, questions: [{ name: 'WWW.Example.org' }] });
    expect(dataOf(answer)).toEqual(['192.0.2.1']);
  });

  it('asks under random ids from several source ports', async () => {
    const upstream = await upstreamServer();
    const exchange = exchangeTo([upstream], { socketUses: 4 });
    await Promise.all(Array.from({ length: 60 }, (_, i) => exchange.query(queryFor(`n${i}.example`, 5))));
    expect(new Set(upstream.asked.map((asked) => asked.port)).size).toBeGreaterThan(8);
    expect(new Set(upstream.asked.map((asked) => asked.id)).size).toBeGreaterThan(50);
  });

  it('takes no answer with another id, another question or from another port', async () => {
    const upstream = await upstreamServer();
    const forged = [addressRecord('a.example', '198.51.100.66')];
    upstream.script = async (asked) => {
      upstream.stranger.send(answerTo(asked, forged), asked.port, '127.0.0.1');
      await new Promise((resolve) => setImmediate(resolve));
      const otherId = answerTo(asked, forged);
      otherId.writeUInt16BE(asked.id ^ 1, 0);
      const otherQuestion = answerTo(asked, forged, {
        questions: [{ type: 'A', name: 'b.example', class: 'IN' }],
      });
      const otherType = answerTo(asked, forged, {
        questions: [{ type: 'AAAA', name: 'a.example', class: 'IN' }],
      });
      const aQuery = Buffer.from(asked.bytes);
      const good = answerTo(asked, [addressRecord('a.example', '192.0.2.9')]);
      return [Buffer.from('x'), Buffer.alloc(600, 255), otherId, otherQuestion, otherType, aQuery, good];
    };
    const exchange = exchangeTo([upstream]);
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.9']);
    expect(exchange.stats()['mismatched']).toBe(3);
  });

  it('goes to the next upstream when the first is silent', async () => {
    const [silent, good] = [await upstreamServer(), await upstreamServer()];
    silent.script = () => [];
    const exchange = exchangeTo([silent, good]);
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
    expect(silent.asked.length).toBe(1);
  });

  it('goes to the next at once when nobody listens', async () => {
    const [dead, good] = [await deadServer(), await upstreamServer()];
    const exchange = exchangeTo([dead, good], { retryMs: 1500 });
    const start = performance.now();
    expect(dataOf(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.1']);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it('takes a slow answer that comes after the next attempt was sent', async () => {
    const upstream = await upstreamServer();
    let calls = 0;
    upstream.script = async (asked) => {
      if (++calls > 1) return [];
      await new Promise((resolve) => setTimeout(resolve, 250));
      return [answerTo(asked, [addressRecord('a.example', '192.0.2.7')])];
    };
    expect(dataOf(await exchangeTo([upstream]).query(queryFor('a.example')))).toEqual(['192.0.2.7']);
    expect(upstream.asked.length).toBeGreaterThan(1);
  });

  it('asks a dead upstream last after a few failures, and tries it again beside a good one', async () => {
    const [silent, good] = [await upstreamServer(), await upstreamServer()];
    silent.script = () => [];
    let time = 1_000_000;
    const exchange = exchangeTo([silent, good], { now: () => time });
    for (let i = 0; i < 3; i++) await exchange.query(queryFor(`n${i}.example`));
    expect(silent.asked.length).toBe(3);
    expect(exchange.stats()['down']).toBe(1);
    await exchange.query(queryFor('later.example'));
    expect(silent.asked.length).toBe(3);
    // The back-off is over: both are asked at once, and nobody waits.
    time += 2000;
    silent.script = (asked) => [answerTo(asked, [addressRecord(asked.name, '192.0.2.1')])];
    await exchange.query(queryFor('again.example'));
    await expect.poll(() => silent.asked.length).toBe(4);
    await expect.poll(() => exchange.stats()['down']).toBe(0);
  });

  it('prefers a later good answer to SERVFAIL, and gives SERVFAIL when there is nothing else', async () => {
    const [ill, good] = [await upstreamServer(), await upstreamServer()];
    ill.script = (asked) => [answerTo(asked, [], { rcode: 2 })];
    expect(dataOf(await exchangeTo([ill, good]).query(queryFor('a.example')))).toEqual(['192.0.2.1']);
    const alone = await exchangeTo([ill]).query(queryFor('a.example'));
    expect((alone[3] as number) & 15).toBe(2);
  });

  it('asks again by TCP when the answer was cut off', async () => {
    const upstream = await upstreamServer();
    const many = Array.from({ length: 200 }, (_, i) => addressRecord('big.example', `192.0.2.${i}`));
    upstream.script = (asked) => [
      asked.byTcp ? answerTo(asked, many) : answerTo(asked, [], { flags: TRUNCATED_RESPONSE }),
    ];
    const exchange = exchangeTo([upstream]);
    const answer = await exchange.query(queryFor('big.example', 9));
    expect(dataOf(answer).length).toBe(200);
    expect(decode(Buffer.from(answer)).id).toBe(9);
    expect(exchange.stats()['tcp']).toBe(1);
  });

  it('gives the cut answer when TCP leads nowhere', async () => {
    const upstream = await upstreamServer();
    upstream.script = (asked) =>
      asked.byTcp
        ? [Buffer.from('nonsense that is no answer')]
        : [answerTo(asked, [], { flags: TRUNCATED_RESPONSE })];
    const answer = await exchangeTo([upstream]).query(queryFor('big.example'));
    expect((answer[2] as number) & 2).toBe(2);
  });

  it('merges the same question, and gives each asker its own id and spelling', async () => {
    const upstream = await upstreamServer();
    const exchange = exchangeTo([upstream]);
    const answers = await Promise.all([
      exchange.query(queryFor('same.example', 1)),
      exchange.query(queryFor('SAME.example', 2)),
      exchange.query(queryFor('same.example', 3)),
    ]);
    expect(upstream.asked.length).toBe(1);
    expect(answers.map((answer) => decode(Buffer.from(answer)).id)).toEqual([1, 2, 3]);
    expect(decode(Buffer.from(answers[1] as Uint8Array)).questions?.[0]?.name).toBe('SAME.example');
  });

  it('refuses more questions than it has room for, and all after close', async () => {
    const upstream = await upstreamServer();
    upstream.script = () => [];
    const exchange = exchangeTo([upstream], { maxInFlight: 2, timeoutMs: 200 });
    const kept = [exchange.query(queryFor('a.example')), exchange.query(queryFor('b.example'))];
    await expect(exchange.query(queryFor('c.example'))).rejects.toThrow(/too many/);
    const ends = Promise.allSettled(kept);
    exchange.close();
    await expect(exchange.query(queryFor('d.example'))).rejects.toThrow(/closed/);
    expect((await ends).map((end) => end.status)).toEqual(['rejected', 'rejected']);
    await expect(kept[0]).rejects.toThrow(`127.0.0.1:${upstream.port}`);
  });

  it('lets what is in flight end when it is closed', async () => {
    const upstream = await upstreamServer();
    const exchange = exchangeTo([upstream]);
    const answer = exchange.query(queryFor('a.example'));
    exchange.close();
    expect(dataOf(await answer)).toEqual(['192.0.2.1']);
  });

  it('tells whoever asks without a promise once, and never before it has returned', async () => {
    const upstream = await upstreamServer();
    const exchange = exchangeTo([upstream]);
    const told: (Uint8Array | null)[] = [];
    const ask = (packet: Uint8Array): Promise<void> =>
      new Promise((resolve) => {
        exchange.ask(packet, (answer) => {
          told.push(answer === null ? null : new Uint8Array(answer));
          resolve();
        });
      });
    const all = [
      ask(Buffer.alloc(5)),
      ask(Buffer.alloc(700)),
      ask(queryFor('A.example', 9)),
      ask(queryFor('a.example', 8)),
    ];
    expect(told).toEqual([]);
    await Promise.all(all);
    const answers = told.flatMap((answer) => (answer === null ? [] : [decode(Buffer.from(answer))]));
    expect(answers.map(({ id, questions }) => [id, questions?.[0]?.name])).toEqual([
      [9, 'A.example'],
      [8, 'a.example'],
    ]);
    expect(told.length).toBe(4);
    expect(upstream.asked.length).toBe(1);
  });

  it('gives true answers to all through a server that comes and goes', async () => {
    const [flapping, good] = [await upstreamServer(), await upstreamServer()];
    flapping.script = (asked) =>
      flapping.asked.length % 3 === 0 ? [] : [answerTo(asked, [addressRecord(asked.name, '192.0.2.1')])];
    const exchange = exchangeTo([flapping, good]);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => exchange.query(queryFor(`n${i}.example`))),
    );
    expect(new Set(answers.flatMap(dataOf))).toEqual(new Set(['192.0.2.1']));
    expect(exchange.stats()).toMatchObject({ answered: 60, failed: 0, inFlight: 0 });
    // What was not answered is waited for a while, to see whether the server is back.
    await expect
      .poll(() => exchange.upstreams().map(({ inFlight }) => inFlight), { timeout: 5000 })
      .toEqual([0, 0]);
  });

  it('refuses to be made of nothing or of itself', () => {
    const deps = { now: () => 0, randomId: () => 0 };
    expect(() => createExchange({ ...deps, upstreams: [] })).toThrow(/no upstream/);
    const own = [{ address: '0.0.0.0', port: 53 }];
    expect(() => createExchange({ ...deps, upstreams: [{ address: '127.0.0.1', port: 53 }], own })).toThrow(
      /127\.0\.0\.1:53 is this gateway itself/,
    );
  });

  it.each([
    ['too short', Buffer.alloc(11)],
    ['no question', Buffer.alloc(40)],
    [
      'a name without end',
      Buffer.concat([Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Buffer.alloc(5, 63)]),
    ],
  ])('rejects what is no query: %s', async (_what, bytes) => {
    const upstream = await upstreamServer();
    await expect(exchangeTo([upstream]).query(bytes)).rejects.toThrow(/not a query/);
  });
});
