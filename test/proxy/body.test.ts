import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBodyReader } from '../../src/proxy/body.ts';
import type { Field, Framing } from '../../src/proxy/head.ts';

function read(framing: Framing, pieces: readonly Buffer[]) {
  const data: Buffer[] = [];
  let trailers: readonly Field[] | null = null;
  const reader = createBodyReader(framing, {
    data: (bytes) => data.push(Buffer.from(bytes)),
    end: (fields) => (trailers = fields),
  });
  let rest = 0;
  let bad = false;
  for (const piece of pieces) {
    const at = reader.feed(piece, 0);
    if (at < 0) {
      bad = true;
      break;
    }
    rest += piece.length - at;
  }
  return {
    data: Buffer.concat(data),
    trailers: trailers as readonly Field[] | null,
    rest,
    bad,
    done: reader.done,
    reader,
  };
}

/** The same bytes in pieces of the given sizes. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % Math.max(1, sizes.length)] ?? 1);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe('chunks', () => {
  it('come out as they went in, however they are cut, with what follows left alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 }),
        fc.constantFrom('', ';ext=1', ';a="b c"'),
        fc.boolean(),
        (chunks, sizes, extension, upper) => {
          const hex = (n: number) => (upper ? n.toString(16).toUpperCase() : `0${n.toString(16)}`);
          const wire = Buffer.concat([
            ...chunks.flatMap((c) => [
              Buffer.from(`${hex(c.length)}${extension}\r\n`),
              Buffer.from(c),
              Buffer.from('\r\n'),
            ]),
            Buffer.from('0\r\nDigest: x\r\n\r\nNEXT'),
          ]);
          const out = read({ kind: 'chunked' }, cut(wire, sizes));
          expect(out.bad).toBe(false);
          expect(out.data.equals(Buffer.concat(chunks))).toBe(true);
          expect(out.trailers).toEqual([{ name: 'Digest', key: 'digest', value: 'x' }]);
          expect(out.rest).toBe(4);
        },
      ),
      { numRuns: 500, seed: 3 },
    );
  });

  it.each([
    'g\r\n',
    '\r\n',
    ' 5\r\nhello\r\n',
    '5 \r\nhello\r\n',
    '-1\r\n',
    '0x5\r\nhello\r\n',
    '5\nhello\r\n',
    '5\rhello',
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    'fffffffffffff\r\n',
    `5;${'x'.repeat(2000)}\r\nhello\r\n`,
    '5;a\x00\r\nhello',
    '5;a\n\r\nhello',
    '0\r\nBad Trailer: x\r\n\r\n',
    '0\r\n folded\r\n\r\n',
    '0\r\nX: a\nY: b\r\n\r\n',
    `0\r\n${'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(300)}\r\n`,
  ])('%j are refused', (wire) => {
    expect(read({ kind: 'chunked' }, [Buffer.from(wire, 'latin1')]).bad).toBe(true);
  });

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 6 }), (pieces) => {
        read(
          { kind: 'chunked' },
          pieces.map((piece) => Buffer.from(piece)),
        );
      }),
      { numRuns: 2000, seed: 5 },
    );
  });

  it('are not whole when the connection ends before the last one', () => {
    expect(read({ kind: 'chunked' }, [Buffer.from('5\r\nhello\r\n')]).reader.finish()).toBe(false);
  });
});

describe('known lengths and open ends', () => {
  it('stop at the length', () => {
    const out = read({ kind: 'length', length: 7 }, [
      Buffer.from('hel'),
      Buffer.from('lo w'),
      Buffer.from('NEXT'),
    ]);
    expect(out.data.toString()).toBe('hello w');
    expect(out.rest).toBe(4);
    expect(out.done).toBe(true);
  });
  it('end at once without content', () => {
    expect(read({ kind: 'none' }, []).trailers).toEqual([]);
    expect(read({ kind: 'length', length: 0 }, []).done).toBe(true);
  });
  it('run until the connection ends only when that is the framing', () => {
    expect(read({ kind: 'close' }, [Buffer.from('abc')]).reader.finish()).toBe(true);
    expect(read({ kind: 'length', length: 7 }, [Buffer.from('abc')]).reader.finish()).toBe(false);
  });
});
