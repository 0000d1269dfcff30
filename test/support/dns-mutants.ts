// Broken DNS messages by the million, the same ones for the same seed: good messages with bytes changed, lengths off, pieces
// cut, doubled and put in, and packets of nothing but chance. Written into memory that is used again.

/** A whole number from 0 to before `below`; small, fast and the same on every machine (mulberry32). */
export type Random = (below: number) => number;

export function createRandom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const TELLING = [0, 1, 12, 41, 63, 64, 0x80, 0xc0, 0xff];

/** The longest packet that `next` writes. */
export const LONGEST = 4600;

export type Mutants = {
  /** where the packet lies */
  readonly bytes: Buffer;
  /** writes the next packet and returns its length */
  next(): number;
};

/** `most` bounds the length of a packet. One in sixteen is chance alone. */
export function createMutants(good: readonly Uint8Array[], random: Random, most = LONGEST): Mutants {
  const bytes = Buffer.alloc(LONGEST * 2);

  function byChance(): number {
    const length = random(8) === 0 ? random(most) : random(90);
    for (let i = 0; i < length; i++) bytes[i] = random(256);
    // Half of them look like a query, or nothing is read but the header.
    if (length > 12 && random(2) === 0)
      bytes.set([random(2), random(256), 0, 1, 0, 0, 0, 0, 0, random(3)], 2);
    return length;
  }

  function change(length: number): number {
    const at = random(length + 1);
    switch (random(9)) {
      case 0:
        if (at < length) bytes[at] = random(256);
        return length;
      case 1:
        if (at < length) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
        return length;
      case 2:
        if (at < length) bytes[at] = TELLING[random(TELLING.length)] as number;
        return length;
      case 3:
        return at;
      case 4: {
        const size = random(random(6) === 0 ? 300 : 24);
        bytes.copyWithin(at + size, at, length);
        bytes.fill(random(256), at, at + size);
        return length + size;
      }
      case 5: {
        // a piece once more, somewhere else
        const size = Math.min(random(60), length - at);
        const to = random(length + 1);
        const piece = Uint8Array.from(bytes.subarray(at, at + size));
        bytes.copyWithin(to + size, to, length);
        bytes.set(piece, to);
        return length + size;
      }
      case 6: {
        const size = Math.min(random(30), length - at);
        bytes.copyWithin(at, at + size, length);
        return length - size;
      }
      case 7:
        // a pointer to anywhere
        if (at + 1 < length) {
          bytes[at] = 0xc0 | random(2);
          bytes[at + 1] = random(256);
        }
        return length;
      default:
        if (length >= 12 && random(3) === 0)
          bytes[2 + random(10)] = random(4) === 0 ? random(256) : random(4);
        return length;
    }
  }

  return {
    bytes,
    next() {
      if (random(16) === 0) return byChance();
      const packet = good[random(good.length)] as Uint8Array;
      bytes.set(packet);
      let { length } = packet;
      if (length > 1) {
        bytes[0] = random(256);
        bytes[1] = random(256);
      }
      const times = random(2) === 0 ? 1 : 1 + random(4);
      for (let i = 0; i < times; i++) length = Math.min(most, change(length));
      return length;
    },
  };
}
