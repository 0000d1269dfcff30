import fc from 'fast-check';
import { decode, encode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { createQuestionText, typeName } from '../../src/dns/question-text.ts';
import {
  BADVERS,
  FORMERR,
  NOTIMP,
  SILENCE,
  createQuery,
  expandName,
  parseQuery,
  skipName,
} from '../../src/dns/wire.ts';
import { query, wireName } from './fixture.ts';

const parsed = (packet: Uint8Array) => {
  const out = createQuery();
  return { fault: parseQuery(packet, packet.length, out), ...out };
};
const patched = (packet: Buffer, at: number, ...bytes: number[]): Buffer => {
  const copy = Buffer.from(packet);
  copy.set(bytes, at);
  return copy;
};
const opt = (...data: number[]): Buffer =>
  Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, data.length, ...data]);
const plain = query('www.example', { edns: null });
const withAdditional = (count: number, ...records: Buffer[]): Buffer =>
  Buffer.concat([patched(plain, 11, count), ...records]);

describe('parseQuery', () => {
  it('reads header, question and EDNS', () => {
    const packet = query('WWW.Example', { id: 7, type: 28, edns: { size: 4096, dnssecOk: true } });
    expect(parsed(packet)).toMatchObject({
      fault: 0,
      id: 7,
      flags: 0x0100,
      nameEnd: 25,
      lastLabel: 16,
      labels: 2,
      type: 28,
      class: 1,
      questionEnd: 29,
      edns: true,
      udpSize: 4096,
      dnssecOk: true,
    });
    expect(parsed(query('.', { edns: null }))).toMatchObject({
      fault: 0,
      labels: 0,
      edns: false,
      udpSize: 512,
    });
  });

  it.each([
    ['nothing', Buffer.alloc(0), SILENCE],
    ['eleven bytes', Buffer.alloc(11), SILENCE],
    ['an answer', patched(plain, 2, 0x80), SILENCE],
    ['a status question', patched(plain, 2, 0x10), NOTIMP],
    ['an update', patched(plain, 2, 0x28), NOTIMP],
    ['no question', patched(plain, 5, 0), FORMERR],
    ['two questions', patched(plain, 5, 2), FORMERR],
    ['an answer record', patched(plain, 7, 1), FORMERR],
    ['an authority record', patched(plain, 9, 1), FORMERR],
    ['a header alone', plain.subarray(0, 12), FORMERR],
    ['half a name', plain.subarray(0, 18), FORMERR],
    ['no type', plain.subarray(0, 25), FORMERR],
    ['no class', plain.subarray(0, 27), FORMERR],
    ['a pointer to itself', patched(plain, 12, 0xc0, 12), FORMERR],
    ['a label of 64', patched(plain, 12, 64), FORMERR],
    ['a label of type 01', patched(plain, 12, 0x41), FORMERR],
    ['a missing OPT', withAdditional(1), FORMERR],
    ['five additional records', withAdditional(5, opt()), FORMERR],
    ['two OPT', withAdditional(2, opt(), opt()), FORMERR],
    ['OPT with a name', withAdditional(1, Buffer.concat([Buffer.from([1, 97]), opt()])), FORMERR],
    ['OPT longer than the packet', withAdditional(1, patched(opt(), 10, 9)), FORMERR],
    ['half an option', withAdditional(1, opt(0, 10, 0)), FORMERR],
    ['an option longer than OPT', withAdditional(1, opt(0, 10, 0, 9, 1)), FORMERR],
    ['EDNS version 1', query('www.example', { edns: { version: 1 } }), BADVERS],
    ['more than 4096 bytes', Buffer.concat([plain, Buffer.alloc(4100)]), FORMERR],
  ])('%s', (_what, packet, fault) => {
    expect(parsed(packet).fault).toBe(fault);
  });

  it.each([
    ['a cookie', opt(0, 10, 0, 2, 1, 2)],
    ['TSIG before OPT', Buffer.concat([Buffer.from([0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0]), opt()])],
  ])('lets %s pass', (_what, records) => {
    const count = records.length > 20 ? 2 : 1;
    expect(parsed(withAdditional(count, records))).toMatchObject({ fault: 0, edns: true });
  });

  it('takes a name of 255 bytes and none of 256', () => {
    const name = (last: number): string => [63, 63, 63, last].map((size) => 'a'.repeat(size)).join('.');
    expect(parsed(query(name(61), { edns: null })).fault).toBe(0);
    expect(parsed(query(name(62), { edns: null })).fault).toBe(FORMERR);
  });

  it('counts an EDNS size below 512 as 512', () => {
    expect(parsed(query('a.example', { edns: { size: 100 } })).udpSize).toBe(512);
  });

  it('agrees with another reader of every query it takes', () => {
    const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
    fc.assert(
      fc.property(
        fc.array(label, { minLength: 1, maxLength: 6 }),
        fc.nat(0xffff),
        fc.constantFrom('A', 'AAAA', 'MX', 'TXT', 'SRV', 'NS'),
        fc.option(fc.integer({ min: 512, max: 4096 }), { nil: null }),
        (labels, id, type, size) => {
          const name = labels.join('.');
          const packet = encode({
            type: 'query',
            id,
            questions: [{ type: type as 'A', name, class: 'IN' }],
            additionals:
              size === null
                ? []
                : [
                    {
                      type: 'OPT',
                      name: '.',
                      udpPayloadSize: size,
                      extendedRcode: 0,
                      ednsVersion: 0,
                      flags: 0,
                      flag_do: false,
                      options: [],
                    },
                  ],
          });
          const out = createQuery();
          expect(parseQuery(packet, packet.length, out)).toBe(0);
          const text = createQuestionText();
          text.read(packet, out);
          expect(out.id).toBe(id);
          expect(text.host()).toBe(name.toLowerCase());
          expect(typeName(out.type)).toBe(type);
          expect(out.edns ? out.udpSize : null).toBe(size);
        },
      ),
    );
  });

  it('never reads or throws beyond any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const out = createQuery();
        const fault = parseQuery(bytes, bytes.length, out);
        expect([0, SILENCE, FORMERR, NOTIMP, BADVERS]).toContain(fault);
        expect(out.questionEnd).toBeLessThanOrEqual(Math.max(12, bytes.length));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('question text', () => {
  const textOf = (packet: Uint8Array): string => {
    const out = createQuery();
    expect(parseQuery(packet, packet.length, out)).toBe(0);
    const text = createQuestionText();
    text.read(packet, out);
    return text.host();
  };

  it.each([
    ['WWW.Example', 'www.example'],
    ['.', '.'],
    ['_dns.resolver.arpa', '_dns.resolver.arpa'],
    ['a b.example', 'a\\032b.example'],
    ['\u0000\u00ff.example', '\\000\\255.example'],
  ])('%j is %s', (name, host) => {
    expect(textOf(query(name))).toBe(host);
  });

  it('tells a dot within a label from one between labels', () => {
    const dotted = Buffer.concat([query('aXb.example', { edns: null })]);
    dotted[14] = 0x2e;
    expect(textOf(dotted)).toBe('a\\046b.example');
  });

  it('names types', () => {
    expect([1, 28, 65, 65280].map(typeName)).toEqual(['A', 'AAAA', 'HTTPS', 'TYPE65280']);
  });
});

describe('names with pointers', () => {
  const out = new Uint8Array(255);
  const base = Buffer.concat([Buffer.alloc(12), wireName('www.example')]);

  it('are followed backwards', () => {
    const packet = Buffer.concat([base, Buffer.from([1, 97, 0xc0, 16])]);
    const size = expandName(packet, base.length, packet.length, out);
    expect(Buffer.from(out.subarray(0, size))).toEqual(wireName('a.example'));
    expect(skipName(packet, base.length, packet.length)).toBe(packet.length);
  });

  it.each([
    ['to itself', [0xc0, 25]],
    ['forwards', [0xc0, 27, 0]],
    ['in a ring', [1, 97, 0xc0, 25]],
    ['into the header', [0xc0, 4]],
    ['cut off', [0xc0]],
    ['without end', [3, 97]],
    ['a label of type 10', [0x80, 0]],
  ])('that go %s are malformed', (_what, bytes) => {
    const packet = Buffer.concat([base, Buffer.from(bytes)]);
    expect(expandName(packet, base.length, packet.length, out)).toBe(-1);
  });

  it('end at 255 bytes, however they are put together', () => {
    // Each label points to the one before it: a long name out of few bytes.
    const parts: Buffer[] = [Buffer.alloc(12), Buffer.from([0])];
    let last = 12;
    let at = 13;
    for (let i = 0; i < 40; i++) {
      const label = Buffer.from([10, ...Buffer.alloc(10, 97), 0xc0 | (last >> 8), last & 255]);
      parts.push(label);
      last = at;
      at += label.length;
    }
    const packet = Buffer.concat(parts);
    expect(expandName(packet, last, packet.length, out)).toBe(-1);
    expect(expandName(packet, 13 + 13 * 22, packet.length, out)).toBe(23 * 11 + 1);
  });

  it('agree with another reader', () => {
    const packet = encode({
      type: 'response',
      questions: [{ type: 'A', name: 'a.example', class: 'IN' }],
      answers: [{ type: 'CNAME', name: 'a.example', data: 'b.other.example', ttl: 1 }],
    });
    expect(decode(packet).answers?.[0]).toMatchObject({ data: 'b.other.example' });
  });
});
