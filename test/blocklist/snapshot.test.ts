// The snapshot's head: every damage is found and said in words.

import { describe, expect, it } from 'vitest';
import { SNAPSHOT_HEADER_BYTES, checkSnapshot, makeSnapshotHeader } from '../../src/blocklist/snapshot.ts';

const sum = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const sound = makeSnapshotHeader(5_000_000_000, sum);
const LENGTH = 5_000_000_000;

function altered(at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(sound);
  copy[at] = value;
  return copy;
}

describe('checkSnapshot', () => {
  it('finds nothing wrong with what was written', () => {
    expect(sound).toHaveLength(SNAPSHOT_HEADER_BYTES);
    expect(checkSnapshot(sound, LENGTH, sum)).toBeNull();
    const within = new Uint8Array(100);
    within.set(sound, 9);
    expect(checkSnapshot(within.subarray(9, 9 + 64), LENGTH, sum)).toBeNull();
  });

  it.each<[string, Uint8Array, number, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), 0, sum, /empty/],
    ['another file', altered(0, 0x50), LENGTH, sum, /not a snapshot/],
    ['line ends rewritten', altered(6, 0x0a), LENGTH, sum, /not a snapshot/],
    ['a short foreign file', Uint8Array.of(0x7f, 0x45), 0, sum, /not a snapshot/],
    ['cut within the head', sound.subarray(0, 40), 0, sum, /cut short: 40 bytes/],
    ['another version', altered(8, 9), LENGTH, sum, /version 9, this program reads version 2/],
    ['cut within the index', sound, 1000, sum, /cut short: 1000 of 5000000000 bytes/],
    ['too long', sound, LENGTH + 1, sum, /5000000001 bytes where 5000000000 were written/],
    ['index altered', sound, LENGTH, sum.map((b, i) => (i === 31 ? b ^ 1 : b)), /checksum differs/],
    ['checksum altered', altered(24, 0xee), LENGTH, sum, /checksum differs/],
    ['no checksum', sound, LENGTH, new Uint8Array(0), /checksum differs/],
  ])('%s', (_, header, length, checksum, words) =>
    expect(checkSnapshot(header, length, checksum)).toMatch(words),
  );

  it('takes only a whole SHA-256', () => {
    expect(() => makeSnapshotHeader(1, new Uint8Array(20))).toThrow('32 bytes');
  });
});
