// Which lists hold a name: the gateway's hottest question. Works on hashes alone and allocates nothing.

import { homeSlot } from './layout.ts';
import { MAX_LISTS } from './name-sets.ts';
import type { BlockIndex, Matches, NameHashes } from './types.ts';

/** Room for the answer; make it once and reuse it. */
export function createMatches(): Matches {
  return {
    count: 0,
    lists: new Uint16Array(MAX_LISTS),
    suffix: new Uint8Array(MAX_LISTS),
    marks: new Uint32Array(MAX_LISTS),
    turn: 0,
  };
}

/** The set id of a hash, 0 when the table does not hold it. The table is sorted, so a greater hash ends the search. */
function findSet(index: BlockIndex, lo: number, hi: number): number {
  const table = index.table;
  for (let at = homeSlot(lo, index.capacity) * 3; ; at += 3) {
    const set = table[at + 2] as number;
    if (set === 0) return 0;
    const otherLo = table[at] as number;
    if (otherLo < lo) continue;
    if (otherLo > lo) return 0;
    if (table[at + 1] === hi) return set;
  }
}

/**
 * Fills `out` with the lists that hold the name and returns how many: by an entry for the name itself, or for a
 * parent if that entry covers what is below. Each list appears once, by its longest such entry, longest first. A list
 * with any exception that covers the name does not appear, as AdBlock lists mean it.
 */
export function lookup(index: BlockIndex, hashes: NameHashes, out: Matches): number {
  const turn = nextTurn(out);
  const { setStart, members } = index;
  const { lists, suffix, marks } = out;
  const whole = hashes.count - 1;
  let count = 0;
  let excepted = false;
  for (let label = whole; label >= 0; label--) {
    const set = findSet(index, hashes.lo[label] as number, hashes.hi[label] as number);
    if (set === 0) continue;
    const end = setStart[set + 1] as number;
    for (let at = setStart[set] as number; at < end; at++) {
      const member = members[at] as number;
      // an even kind covers the name alone
      if (label !== whole && (member & 1) === 0) continue;
      const list = member >>> 2;
      if ((member & 2) !== 0) {
        marks[list] = turn + 1;
        excepted = true;
      } else if ((marks[list] as number) < turn) {
        marks[list] = turn;
        lists[count] = list;
        suffix[count] = label;
        count++;
      }
    }
  }
  if (excepted) count = withoutExcepted(out, count);
  out.count = count;
  return count;
}

function nextTurn(out: Matches): number {
  out.count = 0;
  if (out.turn > 0xfffffff0) {
    out.marks.fill(0);
    out.turn = 0;
  }
  return (out.turn += 2);
}

function withoutExcepted({ lists, suffix, marks, turn }: Matches, count: number): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const list = lists[i] as number;
    if (marks[list] !== turn) continue;
    lists[kept] = list;
    suffix[kept] = suffix[i] as number;
    kept++;
  }
  return kept;
}
