// Whether the names of an answer stay what they are when it is given again. An answer is relayed as it came but for its header,
// the letters of its question and its TTLs; a name that leads by a pointer into one of these would be another one later than
// the one that was decided on. No honest server writes such names. Pure; bounded by the message.

import { QUESTION, uint16 } from './wire.ts';

/** Types whose data has names that may be compressed (RFC 3597, section 4): bytes before the first name, and how many. */
export const NAMES_IN_DATA: ReadonlyMap<number, readonly [before: number, names: number]> = new Map([
  ...[2, 3, 4, 5, 7, 8, 9, 12, 39].map((type): [number, [number, number]] => [type, [0, 1]]),
  ...[6, 14, 17].map((type): [number, [number, number]] => [type, [0, 2]]),
  ...[15, 18, 21, 36].map((type): [number, [number, number]] => [type, [2, 1]]),
  [26, [2, 2]],
  [33, [6, 1]],
  // not to be compressed, but readers follow pointers here too
  [64, [2, 1]],
  [65, [2, 1]],
]);

/** Sums of the steps that all names of a message may take: no true one comes near, however well it is compressed. */
const MAX_STEPS = 100_000;

export type SteadyNames = {
  /** The offset after the name at `from`, all within `end`; -1 when it is malformed or would not stay what it is. */
  read(from: number, end: number): number;
};

/** `questionEnd` is where the message's records begin; `ttls` are the offsets of the TTLs read so far, in their order. */
export function createSteadyNames(
  message: Uint8Array,
  questionEnd: number,
  ttls: readonly number[],
): SteadyNames {
  /** places that a pointer led to and that were found good */
  let good: Set<number> | null = null;
  let steps = 0;

  /** Whether a TTL has one of the bytes from `from` to before `end`. */
  function hasTtl(from: number, end: number): boolean {
    let low = 0;
    let high = ttls.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ttls[middle] as number) + 4 <= from) low = middle + 1;
      else high = middle;
    }
    return low < ttls.length && (ttls[low] as number) < end;
  }

  /** Follows what a pointer at `source` leads to. */
  function follows(source: number, length: number): boolean {
    let bound = source;
    let at = source;
    let total = length;
    const met: number[] = [];
    for (;;) {
      const target = uint16(message, at) & 0x3fff;
      if (target < QUESTION || target >= bound) return false;
      if (target === QUESTION || good?.has(target) === true) break;
      met.push(target);
      bound = target;
      let size: number;
      for (at = target; ;) {
        if (++steps > MAX_STEPS || at >= source) return false;
        size = message[at] as number;
        if (size === 0 || size >= 0xc0) break;
        total += size + 1;
        // A label that runs into what leads here is one that begins in the middle of something.
        if (size > 63 || total > 254 || at + size + 1 >= source) return false;
        at += size + 1;
      }
      const after = size === 0 ? at + 1 : at + 2;
      // The question is written in full, and only its letters change: nothing in it can stand for a pointer.
      if (after > source || (size !== 0 && at < questionEnd) || hasTtl(target, after)) return false;
      if (size === 0) break;
    }
    if (met.length > 0) {
      good ??= new Set();
      for (const place of met) good.add(place);
    }
    return true;
  }

  return {
    read(from, end) {
      for (let at = from; ;) {
        if (at >= end) return -1;
        const size = message[at] as number;
        if (size === 0) return at + 1;
        if (size >= 0xc0) {
          if (at + 2 > end) return -1;
          // Nearly always the name of the question.
          const toQuestion = size === 0xc0 && message[at + 1] === QUESTION;
          return toQuestion || follows(at, at - from) ? at + 2 : -1;
        }
        at += size + 1;
        if (size > 63 || at - from > 254) return -1;
      }
    },
  };
}
