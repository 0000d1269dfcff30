// Nasty packets written by hand, each with what must come of it: queries in corpus/queries.txt, answers of an upstream in
// corpus/answers.txt, and those that are easier made than written.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { DnsHandler } from '../../src/dns/types.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { given, query, read } from '../dns/fixture.ts';
import { hostileHandler, problemOf, readQuestion, trueAnswer } from '../support/hostile-gateway.ts';

type Line = { readonly outcome: string; readonly text: string };

const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));
const ID = '1234';
const QUESTION = '0161076578616d706c650000010001';
const RCODES: Readonly<Record<string, number>> = {
  FORMERR: 1,
  SERVFAIL: 2,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
};
const NOW = 1_700_000_000_000;

const lines = (file: string): [string, Line][] =>
  readFileSync(`${CORPUS}/${file}`, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, what, outcome, text] = /^(.*?) -> (.*?) :(.*)$/.exec(line)!;
      return [what!, { outcome: outcome!, text: text! }];
    });

const bytesOf = (text: string): Buffer =>
  Buffer.concat(
    text
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => {
        const [hex, times = '1'] = word.replace('Q', QUESTION).split('*') as [string, string?];
        const bytes = Buffer.from(hex, 'hex');
        expect(bytes.length).toBe(hex.length / 2);
        return Buffer.concat([bytes, Buffer.alloc(Number(times) - 1, bytes.subarray(-1))]);
      }),
  );

const upstream = (answer: (packet: Uint8Array) => Uint8Array): Exchange => ({
  ask: (packet, done) => queueMicrotask(() => done(answer(packet))),
  query: () => Promise.reject(new Error('nobody asks so')),
  upstreams: () => [],
  stats: () => ({}),
  close() {},
});

async function ask(
  handler: DnsHandler,
  packet: Uint8Array,
  transport: 'udp' | 'tcp',
): Promise<Uint8Array | null> {
  let late = null as Uint8Array | null;
  const now = given(handler, packet, '10.0.0.1', transport, (answer) => void (late = answer));
  for (let turn = 0; turn < 5 && now === null && late === null; turn++)
    await new Promise((go) => setImmediate(go));
  const answer = now ?? late;
  if (answer !== null) {
    const kind = transport === 'udp' ? 'udp' : 'stream';
    expect(problemOf(packet, packet.length, answer, answer.length, kind)).toBeNull();
  }
  return answer;
}

const rcodeOf = (answer: Uint8Array): number => {
  const { rcodeNumber, opt } = read(answer);
  return rcodeNumber | ((opt?.extended ?? 0) << 4);
};

describe.each(['udp', 'tcp'] as const)('a nasty packet from a client, over %s', (transport) => {
  it.each(lines('queries.txt'))('%s', async (_what, { outcome, text }) => {
    const packet = bytesOf(text);
    const handler = hostileHandler(
      upstream((asked) => trueAnswer(asked, readQuestion(asked, asked.length).end)),
      () => NOW,
    );
    const answer = await ask(handler, packet, transport);
    expect(handler.stats()).toMatchObject({ errors: 0, waiting: 0 });
    const [kind, opt] = outcome.split('/') as [string, string?];
    if (kind === 'silence') return expect(answer).toBeNull();
    expect(answer).not.toBeNull();
    const { opt: record, answers } = read(answer!);
    expect(record !== null).toBe(opt === 'opt');
    if (kind === 'answer') return expect([0, 3]).toContain(rcodeOf(answer!));
    if (kind !== 'blocked') return expect(rcodeOf(answer!)).toBe(RCODES[kind]);
    expect(rcodeOf(answer!)).toBe(3);
    expect(answers).toEqual([]);
    expect(handler.stats()['blocked']).toBe(1);
  });
});

describe('a nasty answer of an upstream', () => {
  it.each(lines('answers.txt'))('%s', async (_what, { outcome, text }) => {
    const words = bytesOf(text);
    const message = words.length === 0 ? words : Buffer.concat([Buffer.from(ID, 'hex'), words]);
    let now = NOW;
    const handler = hostileHandler(
      upstream(() => Uint8Array.from(message)),
      () => now,
    );
    const packet = query('a.example');
    for (const later of [0, 1000, 3_601_000]) {
      // The same when it is fresh, from the cache, and asked for anew.
      now = NOW + later;
      const answer = (await ask(handler, packet, 'tcp'))!;
      expect(handler.stats()).toMatchObject({ errors: 0, waiting: 0 });
      const { answers = [], ede, truncated } = read(answer);
      const [kind, count] = outcome.replace('/cut', '').split(' ') as [string, string?];
      expect(truncated).toBe(outcome.endsWith('/cut'));
      if (kind === 'answer') expect([rcodeOf(answer) % 3, answers.length]).toEqual([0, Number(count)]);
      else if (kind === 'blocked') expect([rcodeOf(answer), answers.length, ede]).toEqual([3, 0, [15]]);
      else {
        expect(answers).toEqual([]);
        if (kind === 'SERVFAIL') expect(rcodeOf(answer)).toBe(2);
        else expect([0, 3]).not.toContain(rcodeOf(answer));
      }
    }
  });

  it('forty aliases are too many; twenty are given on, and each of them is decided on', async () => {
    const chain = (length: number, last: string): Uint8Array => {
      const names = Array.from({ length }, (_, i) => (i === length - 1 ? last : `n${i}.example`));
      const parts = names.map((name, i) => {
        const owner = query(i === 0 ? 'a.example' : names[i - 1]!, { edns: null }).subarray(12, -4);
        const data = query(name, { edns: null }).subarray(12, -4);
        return Buffer.concat([owner, Buffer.from([0, 5, 0, 1, 0, 0, 14, 16, 0, data.length]), data]);
      });
      const message = Buffer.concat([query('a.example', { edns: null }), ...parts]);
      message.set([0x81, 0x80, 0, 1, 0, length, 0, 0, 0, 0], 2);
      return message;
    };
    const outcome = async (length: number, last = 'end.example'): Promise<[number, number]> => {
      const handler = hostileHandler(
        upstream(() => chain(length, last)),
        () => NOW,
      );
      const answer = (await ask(handler, query('a.example'), 'tcp'))!;
      return [rcodeOf(answer), read(answer).answers!.length];
    };
    expect(await outcome(20)).toEqual([0, 20]);
    expect(await outcome(20, 'deep.bet.example')).toEqual([3, 0]);
    expect(await outcome(40)).toEqual([2, 0]);
    expect(await outcome(40, 'deep.bet.example')).toEqual([2, 0]);
  });
});
