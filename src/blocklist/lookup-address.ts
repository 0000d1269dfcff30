// Which lists hold an address: by halves through the sorted ranges of its family. Allocates nothing. Names are
// looked up in lookup.ts.

import type { AddressTable, BlockIndex, Matches } from './types.ts';

/** `::ffff:0:0/96` and the NAT64 prefix `64:ff9b::/96` (RFC 6052): what carries an IPv4 address is judged as that. */
const MAPPED = 0xffff;
const NAT64 = 0x0064ff9b;

const wordAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

/** Whether any list of the index holds addresses. */
export function holdsAddresses(index: BlockIndex): boolean {
  return index.v4.count > 0 || index.v6.count > 0;
}

/** The set of the lists that hold an address of 4 or 16 bytes; 0 when none does, and for any other number of bytes. */
export function findAddressSet(index: BlockIndex, bytes: Uint8Array): number {
  if (bytes.length === 4) return findV4(index.v4, wordAt(bytes, 0));
  if (bytes.length !== 16) return 0;
  const a = wordAt(bytes, 0);
  const b = wordAt(bytes, 4);
  const c = wordAt(bytes, 8);
  const d = wordAt(bytes, 12);
  if (b === 0 && ((a === 0 && c === MAPPED) || (a === NAT64 && c === 0))) return findV4(index.v4, d);
  return findV6(index.v6, a, b, c, d);
}

function findV4({ count, first, last, set }: AddressTable, word: number): number {
  let from = 0;
  let to = count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((first[middle] as number) <= word) from = middle + 1;
    else to = middle;
  }
  return from > 0 && (last[from - 1] as number) >= word ? (set[from - 1] as number) : 0;
}

function findV6(table: AddressTable, a: number, b: number, c: number, d: number): number {
  const { first, last, set } = table;
  let from = 0;
  let to = table.count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isAtMost(first, middle * 4, a, b, c, d)) from = middle + 1;
    else to = middle;
  }
  if (from === 0) return 0;
  const at = (from - 1) * 4;
  const equal = last[at] === a && last[at + 1] === b && last[at + 2] === c && last[at + 3] === d;
  return equal || !isAtMost(last, at, a, b, c, d) ? (set[from - 1] as number) : 0;
}

/** Whether the address of `words` at `at` is not above a:b:c:d. */
function isAtMost(words: Uint32Array, at: number, a: number, b: number, c: number, d: number): boolean {
  if (words[at] !== a) return (words[at] as number) < a;
  if (words[at + 1] !== b) return (words[at + 1] as number) < b;
  if (words[at + 2] !== c) return (words[at + 2] as number) < c;
  return (words[at + 3] as number) <= d;
}

/**
 * Adds the lists that hold the address to those that `lookup` found for its text, each list once, and returns how many there
 * are now. `suffix` is what they count as having matched.
 */
export function addAddressLists(index: BlockIndex, bytes: Uint8Array, suffix: number, out: Matches): number {
  const set = findAddressSet(index, bytes);
  if (set === 0) return out.count;
  const { setStart, members } = index;
  const end = setStart[set + 1] as number;
  for (let at = setStart[set] as number; at < end; at++) {
    const list = (members[at] as number) >>> 2;
    if ((out.marks[list] as number) >= out.turn) continue;
    out.marks[list] = out.turn;
    out.lists[out.count] = list;
    out.suffix[out.count++] = suffix;
  }
  return out.count;
}
