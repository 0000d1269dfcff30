import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrameReader } from '../../src/resolver/frames.ts';

describe('createFrameReader', () => {
  it('gives the same messages however the stream is cut up', () => {
    const message = fc.uint8Array({ maxLength: 700 });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 12 }),
        fc.array(fc.nat(900), { maxLength: 60 }),
        (messages, cuts) => {
          const stream = Buffer.concat(
            messages.flatMap((bytes) => [Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]),
          );
          const got: Buffer[] = [];
          const read = createFrameReader((bytes) => got.push(Buffer.from(bytes)));
          let at = 0;
          for (const cut of cuts) {
            read(stream.subarray(at, at + cut));
            at += cut;
          }
          read(stream.subarray(at));
          expect(got).toEqual(messages.map((bytes) => Buffer.from(bytes)));
        },
      ),
    );
  });
});
