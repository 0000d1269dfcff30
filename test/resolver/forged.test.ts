import { decode, encode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createExchange } from '../../src/resolver/exchange.ts';
import type { ExchangeDeps } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { addressRecord, answerTo, startScriptedUpstream } from './scripted-upstream.ts';
import type { Asked, ScriptedUpstream } from './scripted-upstream.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});

async function server(script?: ScriptedUpstream['script']): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  if (script !== undefined) upstream.script = script;
  open.push(upstream);
  return upstream;
}

function exchangeTo(upstreams: ScriptedUpstream[], more: Partial<ExchangeDeps> = {}): Exchange {
  const exchange = createExchange({
    upstreams: upstreams.map(({ address, port }) => ({ address, port })),
    now: Date.now,
    randomId: createRandomIds(),
    timeoutMs: 3000,
    retryMs: 500,
    ...more,
  });
  open.unshift(exchange);
  return exchange;
}

const optWith = (options: { code: number; data: Buffer }[], extendedRcode = 0) => ({
  type: 'OPT' as const,
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: options as never[],
});

const queryFor = (name: string): Buffer =>
  encode({
    type: 'query',
    id: 77,
    flags: 0x0100,
    questions: [{ type: 'A', name, class: 'IN' }],
    additionals: [optWith([])],
  });

const LONG = 'the-letters-of-this-name-are-many.example.org';
const good = (asked: Asked): Buffer => answerTo(asked, [addressRecord(asked.name, '192.0.2.9')]);
const forged = (asked: Asked): Buffer => answerTo(asked, [addressRecord(asked.name, '198.51.100.66')]);
const lower = (message: Buffer, name: string): Buffer => {
  const copy = Buffer.from(message);
  for (let i = 12; i < 12 + name.length + 2; i++) {
    if ((copy[i] as number) >= 0x41 && (copy[i] as number) <= 0x5a) copy[i] = (copy[i] as number) | 0x20;
  }
  return copy;
};
const cookieOf = (asked: Asked): Buffer | null => {
  const opt = decode(asked.bytes).additionals?.find((record) => record.type === 'OPT');
  const options = (opt as unknown as { options: { code: number; data: Buffer }[] } | undefined)?.options;
  return options?.find(({ code }) => code === 10)?.data ?? null;
};
const addresses = (answer: Uint8Array): unknown[] =>
  (decode(Buffer.from(answer)).answers ?? []).map((record) => ('data' in record ? record.data : null));

describe('letters in mixed case', () => {
  it('are sent anew each time, and the asker gets his own back', async () => {
    const upstream = await server();
    const exchange = exchangeTo([upstream]);
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await exchange.query(queryFor(LONG)));
    expect(new Set(upstream.asked.map(({ name }) => name)).size).toBe(4);
    expect(answers.map((answer) => decode(Buffer.from(answer)).questions?.[0]?.name)).toEqual(
      answers.map(() => LONG),
    );
  });

  it('that come back otherwise are not believed: TCP has the answer', async () => {
    const upstream = await server((asked) => [asked.byTcp ? good(asked) : lower(forged(asked), LONG)]);
    const exchange = exchangeTo([upstream]);
    expect(addresses(await exchange.query(queryFor(LONG)))).toEqual(['192.0.2.9']);
    expect(exchange.upstreams()[0]).toMatchObject({ mismatched: 1, tcp: 1, mixedCase: true });
  });

  it('are given up for a server that folds them by TCP as well', async () => {
    const upstream = await server((asked) => [lower(good(asked), LONG)]);
    const exchange = exchangeTo([upstream]);
    for (let i = 0; i < 3; i++)
      expect(addresses(await exchange.query(queryFor(LONG)))).toEqual(['192.0.2.9']);
    expect(exchange.upstreams()[0]).toMatchObject({ tcp: 1, mixedCase: false });
  });
});

describe('many forged answers', () => {
  it('send the question on over TCP, and are counted', async () => {
    const upstream = await server((asked) => {
      if (asked.byTcp) return [good(asked)];
      const other = answerTo(asked, [], { questions: [{ type: 'A', name: 'evil.example', class: 'IN' }] });
      return [other, other, other, other, other, other];
    });
    const exchange = exchangeTo([upstream], { retryMs: 2500 });
    expect(addresses(await exchange.query(queryFor(LONG)))).toEqual(['192.0.2.9']);
    expect(exchange.upstreams()[0]).toMatchObject({ mismatched: 4, spoofed: 1, tcp: 1 });
  });
});

describe('cookies', () => {
  const SERVER = Buffer.from('0123456789abcdef', 'hex');
  const withCookie = (asked: Asked, cookie: Buffer, more = {}, extended = 0): Buffer =>
    answerTo(asked, [addressRecord(asked.name, '192.0.2.9')], {
      additionals: [optWith([{ code: 10, data: cookie }], extended)],
      ...more,
    });

  it('of the server are given back to it', async () => {
    const upstream = await server((asked) => [
      withCookie(asked, Buffer.concat([cookieOf(asked)?.subarray(0, 8) ?? Buffer.alloc(8), SERVER])),
    ]);
    const exchange = exchangeTo([upstream]);
    await exchange.query(queryFor('a.example'));
    await exchange.query(queryFor('b.example'));
    expect(upstream.asked.map((asked) => cookieOf(asked)?.length)).toEqual([8, 16]);
    expect(cookieOf(upstream.asked[1] as Asked)?.subarray(8)).toEqual(SERVER);
    expect(exchange.upstreams()[0]?.cookies).toBe(true);
  });

  it('that the server finds bad are put right by asking again', async () => {
    const upstream = await server((asked) => {
      const cookie = cookieOf(asked) ?? Buffer.alloc(0);
      const theirs = Buffer.concat([cookie.subarray(0, 8), SERVER]);
      return [
        cookie.length === 8
          ? withCookie(asked, theirs, { rcode: 7, answers: [] }, 1)
          : withCookie(asked, theirs),
      ];
    });
    const exchange = exchangeTo([upstream]);
    expect(addresses(await exchange.query(queryFor('a.example')))).toEqual(['192.0.2.9']);
    expect(upstream.asked.map(({ byTcp }) => byTcp)).toEqual([false, false]);
  });

  it('of another client, or none from a server of cookies, are not believed', async () => {
    let turn = 0;
    const upstream = await server((asked) => {
      const theirs = Buffer.concat([cookieOf(asked)?.subarray(0, 8) ?? Buffer.alloc(8), SERVER]);
      turn++;
      if (turn === 1) return [withCookie(asked, theirs)];
      if (asked.byTcp) return [good(asked)];
      if (turn === 2) return [withCookie(asked, Buffer.alloc(16, 7)), withCookie(asked, theirs)];
      return [forged(asked)];
    });
    const exchange = exchangeTo([upstream]);
    for (let i = 0; i < 3; i++) {
      expect(addresses(await exchange.query(queryFor(`n${i}.example`)))).toEqual(['192.0.2.9']);
    }
    expect(exchange.upstreams()[0]).toMatchObject({ mismatched: 2, tcp: 1, cookies: false });
  });

  it('are not sent any more to a server that never has one, nor to one that cannot read them', async () => {
    const plain = await server();
    const strict = await server((asked) => [
      cookieOf(asked) === null ? good(asked) : answerTo(asked, [], { rcode: 1 }),
    ]);
    const [first, second] = [exchangeTo([plain]), exchangeTo([strict])];
    for (let i = 0; i < 12; i++) await first.query(queryFor(`n${i}.example`));
    expect(plain.asked.map((asked) => cookieOf(asked) !== null).lastIndexOf(true)).toBe(7);
    expect(addresses(await second.query(queryFor('a.example')))).toEqual(['192.0.2.9']);
    expect(strict.asked.length).toBe(2);
  });
});

describe('mutated answers', () => {
  it('10,000 of them: each question gets a true answer or a clean failure, and good ones go on', async () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >>> 8) % below;
    };
    const mutate = (message: Buffer): Buffer => {
      const copy = Buffer.from(
        message.subarray(0, random(4) === 0 ? random(message.length + 1) : message.length),
      );
      const changes = 1 + random(4);
      // The id stays, so that the answer is looked at; sometimes all of it is noise.
      for (let i = 0; i < changes && copy.length > 2; i++) copy[2 + random(copy.length - 2)] = random(256);
      return copy;
    };
    const upstream = await server((asked) =>
      asked.name.toLowerCase().startsWith('good') ? [good(asked)] : [mutate(good(asked))],
    );
    const exchange = exchangeTo([upstream], { timeoutMs: 200, retryMs: 70 });
    const askOne = (name: string): Promise<'answer' | 'failure'> =>
      exchange.query(queryFor(name)).then(
        (answer) => {
          const question = Buffer.from(queryFor(name).subarray(12, 12 + name.length + 6));
          expect(Buffer.from(answer.subarray(12, 12 + question.length))).toEqual(question);
          expect([answer[0], answer[1], (answer[2] as number) & 0x80]).toEqual([0, 77, 0x80]);
          return 'answer';
        },
        (error: Error) => {
          expect(error.message).toMatch(/no answer from|too many/);
          return 'failure';
        },
      );
    const ends = { answer: 0, failure: 0 };
    for (let round = 0; round < 40; round++) {
      const names = Array.from({ length: 250 }, (_, i) => `n${round}-${i}.example`);
      for (const end of await Promise.all(names.map(askOne))) ends[end]++;
      await expect.poll(() => askOne(`good${round}.example`)).toBe('answer');
    }
    expect(ends.answer + ends.failure).toBe(10_000);
    expect(ends.answer).toBeGreaterThan(100);
    expect(exchange.stats()['inFlight']).toBe(0);
  }, 60_000);
});
