// Blocks, portals and allows by override of a DNS thread: each an event of its own while one client makes few of them;
// above that the same ones are counted in the event that still waits in the ring, which outlives the thread. Nothing is
// ever kept here that would be lost with it.

import type { Decision, DnsNote } from '../policy/types.ts';
import { MANY, type Draft } from './visit-counts.ts';

/** What the counting of one client goes by; `no` is never 0 and never given to another. */
export type Blocked = { readonly no: number; second: number; seen: number; flooding: boolean };

export type BlockCounts = {
  note(who: Blocked, what: number, ...noted: Parameters<DnsNote>): void;
};

export type BlockCountsDeps = {
  readonly draft: Draft;
  readonly typeName: (type: number) => string;
  readonly generations: { readonly policy: number; readonly index: number };
  /** writes an event to the ring; false: no room */
  readonly write: (decision: Decision) => boolean;
  /** writes an event that may be counted up while it waits; -1: no room */
  readonly writeOpen: (decision: Decision) => number;
  /** counts one more in an event that waits; false: it was read */
  readonly add: (place: number, bytesIn: number, bytesOut: number, micros: number) => boolean;
  /** keeps an event for which the ring had no room */
  readonly spill: (decision: Decision) => void;
  /** events a second from one client that are told one by one */
  readonly burst: number;
  /** events a second from one client above which names are no longer told apart */
  readonly flood: number;
};

const SECOND = 1000;
const SLOTS = 4096;
/** Places an event may be at. */
const WAYS = 8;
const LONGEST_MICROS = 0xffffffff;

export function createBlockCounts(deps: BlockCountsDeps): BlockCounts {
  const { draft } = deps;
  // An event is its name, client and verdict; `whos` is 0 where there is none.
  const los = new Int32Array(SLOTS);
  const his = new Int32Array(SLOTS);
  const whos = new Int32Array(SLOTS);
  const whats = new Int32Array(SLOTS);
  const seconds = new Float64Array(SLOTS);
  const places = new Float64Array(SLOTS);
  let turn = 0;

  const firstOf = (who: number, what: number, lo: number): number => {
    let mixed = lo ^ Math.imul(who, 0x9e3779b1) ^ Math.imul(what, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
    return ((mixed ^ (mixed >>> 13)) & (SLOTS / WAYS - 1)) * WAYS;
  };

  const find = (who: number, what: number, lo: number, hi: number): number => {
    const first = firstOf(who, what, lo);
    for (let slot = first; slot < first + WAYS; slot++) {
      if (los[slot] === lo && his[slot] === hi && whos[slot] === who && whats[slot] === what) return slot;
    }
    return -1;
  };

  /** Remembers where an event waits. What is forgotten for it is only told once more. */
  const remember = (
    who: number,
    what: number,
    lo: number,
    hi: number,
    second: number,
    place: number,
  ): void => {
    let slot = find(who, what, lo, hi);
    if (slot < 0) {
      const first = firstOf(who, what, lo);
      slot = first + (turn++ & (WAYS - 1));
      for (let other = first; other < first + WAYS; other++) if (seconds[other] !== second) slot = other;
    }
    los[slot] = lo;
    his[slot] = hi;
    whos[slot] = who;
    whats[slot] = what;
    seconds[slot] = second;
    places[slot] = place;
  };

  /** Steps the client's count; true when this is within those told one by one. */
  const few = (who: Blocked, second: number): boolean => {
    if (who.second !== second) {
      // A flood that goes on does not get a fresh allowance of names each second.
      who.flooding = second === who.second + 1 && who.seen > deps.flood;
      who.second = second;
      who.seen = 0;
    }
    return ++who.seen <= deps.burst;
  };

  return {
    note(who, what, lo, hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host) {
      const second = Math.floor(at / SECOND);
      const alone = few(who, second);
      const many = !alone && who.seen > (who.flooding ? deps.burst : deps.flood);
      const nameLo = many ? 0 : lo | 0;
      const nameHi = many ? 0 : hi | 0;
      const micros = durationMs > 0 ? Math.min(Math.round(durationMs * 1000), LONGEST_MICROS) : 0;
      let slot = -1;
      if (!alone) {
        slot = find(who.no, what, nameLo, nameHi);
        if (slot >= 0 && seconds[slot] === second && deps.add(places[slot]!, bytesIn, bytesOut, micros))
          return;
      }
      draft.at = at;
      draft.client = client;
      draft.verdict = verdict;
      draft.host = many ? MANY : host();
      draft.method = deps.typeName(type);
      draft.policyGeneration = deps.generations.policy;
      draft.indexGeneration = deps.generations.index;
      draft.bytesIn = bytesIn;
      draft.bytesOut = bytesOut;
      draft.durationMs = durationMs;
      draft.count = 1;
      if (alone && deps.write(draft)) return;
      const place = alone ? -1 : deps.writeOpen(draft);
      if (place >= 0) {
        remember(who.no, what, nameLo, nameHi, second, place);
        return;
      }
      // No room, so the writer is behind: an event of an earlier second counts this one too, before it costs a file.
      if (slot < 0) slot = find(who.no, what, nameLo, nameHi);
      if (slot < 0) slot = find(who.no, what, 0, 0);
      if (slot >= 0 && deps.add(places[slot]!, bytesIn, bytesOut, micros)) return;
      deps.spill(draft);
    },
  };
}
