// Allowed visits of a DNS thread, counted in memory: a visit is told when it is first seen in its minute, and what comes
// after is told as a number every few seconds. Bounded, exact, and without an object for a visit that was seen before.

import type { Client, Decision, DnsNote, Verdict } from '../policy/types.ts';

/** A decision that is filled in again for each event. */
export type Draft = { -readonly [K in keyof Decision]: Decision[K] };

/** What the counting of one client goes by; `no` is never 0 and never given to another. */
export type Visitor = {
  readonly no: number;
  minute: number;
  names: number;
  newSecond: number;
  newNames: number;
};

export type VisitCounts = {
  note(who: Visitor, what: number, ...noted: Parameters<DnsNote>): void;
  /** Tells what was counted in the next `share` of the table (1: all of it). false: there was no room for some of it yet */
  flush(share: number): boolean;
  /** visits counted and not told */
  waiting(): number;
};

export type VisitCountsDeps = {
  readonly draft: Draft;
  readonly typeName: (type: number) => string;
  readonly generations: { readonly policy: number; readonly index: number };
  /** false: no room at the moment, it will be asked again */
  readonly offer: (decision: Decision) => boolean;
  /** so many visits were given up, because there was no room and their place was wanted */
  readonly drop: (count: number) => void;
  /** visits counted at a time, a power of two */
  readonly slots: number;
  /** different names a minute from one client that get rows of their own */
  readonly names: number;
  /** and a second */
  readonly rush: number;
};

/** The host of a row that stands for several names. */
export const MANY = '*';

const MINUTE = 60_000;
/** Places a visit may be at. */
const WAYS = 8;
/** Above any count: what sets visits of this minute above those of others. */
const NOW = 2 ** 32;

export function createVisitCounts(deps: VisitCountsDeps): VisitCounts {
  const { draft, slots } = deps;
  const sets = slots / WAYS - 1;
  // A visit is its name, client, verdict and minute; `whos` is 0 where there is none.
  const los = new Int32Array(slots);
  const his = new Int32Array(slots);
  const whos = new Int32Array(slots);
  const whats = new Int32Array(slots);
  const minutes = new Int32Array(slots);
  /** seen in its minute, told or not */
  const seen = new Uint32Array(slots);
  /** not told yet, and its bytes */
  const counts = new Uint32Array(slots);
  const bytesIns = new Float64Array(slots);
  const bytesOuts = new Float64Array(slots);
  const durations = new Float64Array(slots);
  const types = new Uint16Array(slots);
  const ats = new Float64Array(slots);
  const clients: (Client | null)[] = new Array<Client | null>(slots).fill(null);
  const verdicts: (Verdict | null)[] = new Array<Verdict | null>(slots).fill(null);
  const hosts: string[] = new Array<string>(slots).fill('');
  let minuteFrom = 0;
  let minuteTo = 0;
  let minute = 0;
  let cursor = 0;

  const tell = (slot: number): boolean => {
    draft.at = ats[slot]!;
    draft.client = clients[slot]!;
    draft.verdict = verdicts[slot]!;
    draft.host = hosts[slot]!;
    draft.method = deps.typeName(types[slot]!);
    draft.policyGeneration = deps.generations.policy;
    draft.indexGeneration = deps.generations.index;
    draft.bytesIn = bytesIns[slot]!;
    draft.bytesOut = bytesOuts[slot]!;
    draft.durationMs = durations[slot]!;
    draft.count = counts[slot]!;
    if (!deps.offer(draft)) return false;
    counts[slot] = bytesIns[slot] = bytesOuts[slot] = durations[slot] = 0;
    return true;
  };

  /** Empties a place whose visit makes room for another. */
  const settle = (slot: number): void => {
    const waits = counts[slot]!;
    if (waits > 0 && !tell(slot)) deps.drop(waits);
    whos[slot] = counts[slot] = bytesIns[slot] = bytesOuts[slot] = durations[slot] = 0;
    clients[slot] = verdicts[slot] = null;
    hosts[slot] = '';
  };

  const firstOf = (who: number, what: number, lo: number): number => {
    // The hash of a name is keyed: nobody outside can choose names that crowd one place.
    let mixed = lo ^ Math.imul(who, 0x9e3779b1) ^ Math.imul(what, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
    return ((mixed ^ (mixed >>> 13)) & sets) * WAYS;
  };

  const find = (first: number, who: number, what: number, lo: number, hi: number): number => {
    for (let slot = first; slot < first + WAYS; slot++) {
      if (
        los[slot] === lo &&
        his[slot] === hi &&
        whos[slot] === who &&
        whats[slot] === what &&
        minutes[slot] === minute
      )
        return slot;
    }
    return -1;
  };

  /** A place for a new visit: an empty one, one of a minute that is over, or that of the visit seen least. */
  const makeRoom = (first: number): number => {
    let least = first;
    let weight = Infinity;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (whos[slot] === 0) return slot;
      // What was told already goes first: there may be no room now to tell the others.
      const own = minutes[slot] === minute ? NOW + seen[slot]! : counts[slot]!;
      if (own < weight) {
        least = slot;
        weight = own;
      }
    }
    settle(least);
    return least;
  };

  const add = (slot: number, bytesIn: number, bytesOut: number, durationMs: number): void => {
    seen[slot] = seen[slot]! + 1;
    counts[slot] = counts[slot]! + 1;
    bytesIns[slot] = bytesIns[slot]! + bytesIn;
    bytesOuts[slot] = bytesOuts[slot]! + bytesOut;
    if (durationMs > durations[slot]!) durations[slot] = durationMs;
  };

  return {
    note(who, what, lo, hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host) {
      if (!(at >= minuteFrom && at < minuteTo)) {
        minute = Math.floor(at / MINUTE);
        minuteFrom = minute * MINUTE;
        minuteTo = minuteFrom + MINUTE;
      }
      const { no } = who;
      let nameLo = lo | 0;
      let nameHi = hi | 0;
      let first = firstOf(no, what, nameLo);
      let slot = find(first, no, what, nameLo, nameHi);
      if (slot >= 0) {
        add(slot, bytesIn, bytesOut, durationMs);
        return;
      }
      if (who.minute !== minute) {
        who.minute = minute;
        who.names = 0;
      }
      const second = Math.floor(at / 1000);
      if (who.newSecond !== second) {
        who.newSecond = second;
        who.newNames = 0;
      }
      const many = who.names >= deps.names || who.newNames >= deps.rush;
      if (many) {
        nameLo = nameHi = 0;
        first = firstOf(no, what, 0);
        slot = find(first, no, what, 0, 0);
        if (slot >= 0) {
          add(slot, bytesIn, bytesOut, durationMs);
          return;
        }
      } else {
        who.names++;
        who.newNames++;
      }
      // Asked first: nothing is half done when it throws.
      const name = many ? MANY : host();
      slot = makeRoom(first);
      los[slot] = nameLo;
      his[slot] = nameHi;
      whos[slot] = no;
      whats[slot] = what;
      minutes[slot] = minute;
      seen[slot] = 0;
      types[slot] = type;
      ats[slot] = at;
      clients[slot] = client;
      verdicts[slot] = verdict;
      hosts[slot] = name;
      add(slot, bytesIn, bytesOut, durationMs);
      tell(slot);
    },
    flush(share) {
      for (let left = Math.ceil(slots * share); left > 0; left--) {
        if (counts[cursor]! > 0 && !tell(cursor)) return false;
        cursor = (cursor + 1) & (slots - 1);
      }
      return true;
    },
    waiting: () => counts.reduce((sum, count) => sum + count, 0),
  };
}
