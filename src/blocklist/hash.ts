// The hash of a name and of all its parents in one pass, from text or from DNS wire form. Two 32-bit lanes keyed by
// a secret seed: fast and well spread, and a stranger without the seed cannot make names collide. Not cryptography.

import type { NameHashes, Seed } from './types.ts';

/** No name has more labels: 255 bytes on the wire hold 127 labels of one byte. */
const MAX_LABELS = 128;
const MAX_TEXT = 253;
const MAX_WIRE = 255;
/** Stands between labels. No byte has this value, so a dot inside a wire label is not a boundary. */
const BOUNDARY = 0x10000;
const MIX_A = 0x9e3779b1;
const MIX_B = 0x85ebca77;

/** Room for the hashes of one name; make it once and reuse it. */
export function createNameHashes(): NameHashes {
  return {
    count: 0,
    lo: new Uint32Array(MAX_LABELS),
    hi: new Uint32Array(MAX_LABELS),
    starts: new Uint32Array(MAX_LABELS),
  };
}

/**
 * Hashes a canonical dotted name (or an IP literal) into `out`, right-hand label first. The empty name and a text
 * longer than a name can be give count 0.
 */
export function hashName(seed: Seed, name: string, out: NameHashes): void {
  out.count = 0;
  if (name.length === 0 || name.length > MAX_TEXT) return;
  let a = seed.lo | 0;
  let b = seed.hi | 0;
  let count = 0;
  for (let i = name.length - 1; i >= 0; i--) {
    let c = name.charCodeAt(i);
    if (c === 46) {
      settle(out, count++, a, b);
      c = BOUNDARY;
    } else if (c >= 65 && c <= 90) c += 32;
    // the same step as in hashWireName: a permutation of both lanes for every byte, so no state is ever lost
    a = Math.imul(a ^ c, MIX_A);
    a ^= a >>> 15;
    b = Math.imul((b + a) | 0, MIX_B);
    b ^= b >>> 13;
    if (count === MAX_LABELS) return;
  }
  settle(out, count++, a, b);
  out.count = count;
}

/**
 * Hashes an uncompressed name in DNS wire form (RFC 1035, 3.1) at `offset`, folding ASCII upper case, into `out`.
 * Returns the offset after the root byte, or -1 for a compression pointer, a name over 255 bytes or one that runs
 * past the packet; `out.count` is 0 then. The root alone gives count 0.
 */
export function hashWireName(seed: Seed, packet: Uint8Array, offset: number, out: NameHashes): number {
  out.count = 0;
  const starts = out.starts;
  let labels = 0;
  let at = offset;
  for (;;) {
    if (at < 0 || at >= packet.length) return -1;
    const length = packet[at] as number;
    if (length === 0) break;
    if (length > 63 || at + length + 2 - offset > MAX_WIRE) return -1;
    starts[labels++] = at;
    at += length + 1;
  }
  let a = seed.lo | 0;
  let b = seed.hi | 0;
  for (let label = labels - 1; label >= 0; label--) {
    const first = (starts[label] as number) + 1;
    for (let i = first + (packet[first - 1] as number) - 1; i >= first; i--) {
      let c = packet[i] as number;
      if (c >= 65 && c <= 90) c += 32;
      a = Math.imul(a ^ c, MIX_A);
      a ^= a >>> 15;
      b = Math.imul((b + a) | 0, MIX_B);
      b ^= b >>> 13;
    }
    settle(out, labels - 1 - label, a, b);
    a = Math.imul(a ^ BOUNDARY, MIX_A);
    a ^= a >>> 15;
    b = Math.imul((b + a) | 0, MIX_B);
    b ^= b >>> 13;
  }
  out.count = labels;
  return at + 1;
}

/** Ends a label: both lanes are spread over all bits (a permutation of the pair) and kept as suffix `at`. */
function settle(out: NameHashes, at: number, a: number, b: number): void {
  let x = (a + ((b << 16) | (b >>> 16))) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  x ^= x >>> 16;
  let y = b ^ x;
  y = Math.imul(y ^ (y >>> 15), 0x2c1b3c6d);
  y = Math.imul(y ^ (y >>> 12), 0x297a2d39);
  y ^= y >>> 15;
  out.lo[at] = x;
  out.hi[at] = y;
}
