import { encode } from 'dns-packet';
import type { Answer } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { questionEnd } from '../../src/resolver/questions.ts';
import { reachedRecords } from '../../src/resolver/relevance.ts';

const a = (name: string): Answer => ({ type: 'A', name, ttl: 60, data: '192.0.2.1' });
const cname = (name: string, data: string): Answer => ({ type: 'CNAME', name, ttl: 60, data });
const dname = (name: string, data: string): Answer => ({ type: 'DNAME', name, ttl: 60, data });

const reached = (name: string, answers: Answer[]): number[] | null => {
  const message = encode({
    type: 'response',
    id: 1,
    questions: [{ type: 'A', name, class: 'IN' }],
    answers,
  });
  const found = reachedRecords(message, questionEnd(message));
  return found === null ? null : [...found];
};

describe('reachedRecords', () => {
  it.each<[string, string, Answer[], number[] | null]>([
    ['the name itself, in any case', 'www.example.org', [a('WWW.example.ORG')], [1]],
    ['another name', 'www.example.org', [a('bank.example')], [0]],
    [
      'a chain',
      'a.example',
      [cname('a.example', 'b.example'), cname('b.example', 'c.test'), a('c.test')],
      [1, 1, 1],
    ],
    [
      'a chain backwards',
      'a.example',
      [a('c.test'), cname('b.example', 'c.test'), cname('a.example', 'b.example')],
      [1, 1, 1],
    ],
    [
      'a broken chain',
      'a.example',
      [cname('a.example', 'b.example'), a('c.test'), a('b.example')],
      [1, 0, 1],
    ],
    ['a ring', 'a.example', [cname('a.example', 'b.example'), cname('b.example', 'a.example')], [1, 1]],
    ['a DNAME without its CNAME', 'x.y.old.test', [dname('old.test', 'new.test'), a('x.y.new.test')], [1, 0]],
    ['a DNAME beside the way', 'x.old.test', [dname('ld.test', 'evil.test'), a('x.oevil.test')], [0, 0]],
    ['a DNAME of the name itself', 'old.test', [dname('old.test', 'new.test'), a('new.test')], [1, 0]],
    ['nothing', 'a.example', [], []],
  ])('%s', (_what, name, answers, expected) => {
    expect(reached(name, answers)).toEqual(expected);
  });

  it('takes a chain without end for an attack', () => {
    const links = Array.from({ length: 40 }, (_, i) => cname(`n${i}.example`, `n${i + 1}.example`));
    expect(reached('n0.example', links)).toBe(null);
  });

  it('never throws and never loops, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 17, maxLength: 300 }), (bytes) => {
        bytes[6] = 0;
        const found = reachedRecords(bytes, 17);
        expect(found === null || found.length === bytes[7]).toBe(true);
      }),
    );
  });
});
