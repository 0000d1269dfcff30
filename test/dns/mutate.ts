// Broken copies of messages, the same ones in every run: a byte changed, a length off, a piece cut, doubled or swapped.

/** Numbers from 0 to 2^32, from a seed (xorshift). */
export function numbers(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** One to four changes to a copy of one of the `good` messages. */
export function mutated(good: readonly Uint8Array[], next: () => number): Uint8Array {
  let bytes = Uint8Array.from(good[next() % good.length] as Uint8Array);
  for (let times = 1 + (next() % 4); times > 0; times--) {
    if (bytes.length === 0) return bytes;
    const at = next() % bytes.length;
    switch (next() % 7) {
      case 0:
        bytes[at] = next() & 0xff;
        break;
      case 1:
        bytes[at] = (bytes[at] as number) ^ (1 << (next() % 8));
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes[at] = [0, 1, 0x3f, 0x40, 0xc0, 0xff][next() % 6] as number;
        break;
      case 4:
        // a pointer to anywhere
        bytes[at] = 0xc0 | (next() & 1);
        if (at + 1 < bytes.length) bytes[at + 1] = next() & 0xff;
        break;
      case 5: {
        const piece = bytes.slice(at, at + 1 + (next() % 24));
        const grown = new Uint8Array(bytes.length + piece.length);
        grown.set(bytes.subarray(0, at));
        grown.set(piece, at);
        grown.set(bytes.subarray(at), at + piece.length);
        bytes = grown;
        break;
      }
      default:
        // a count in the header
        if (bytes.length >= 12) bytes[5 + 2 * (next() % 4)] = next() % 5;
    }
  }
  return bytes;
}
