// The questions in flight: found by what they ask, gone through by a clock that ticks, and used again when they are settled.
// What is let go of rests until the next tick, so that nobody who is still being told of it meets it as something else.

import type { Ask, Attempt } from './asking.ts';
import { questionHash, sameQuery } from './questions.ts';

/** A question with our OPT is never longer. */
export const MAX_QUERY = 512;
/** With a cookie added. */
const PACKET_ROOM = MAX_QUERY + 64;

export type AskTable = {
  /** in flight, in no order; read only */
  readonly live: readonly Ask[];
  hash(packet: Uint8Array, end: number): number;
  find(packet: Uint8Array, end: number, hash: number): Ask | null;
  /** a new question, in the table, its query copied; the rest is for the caller to set */
  add(packet: Uint8Array, end: number, hash: number): Ask;
  remove(ask: Ask): void;
  /** after its removal, when everyone was told */
  release(ask: Ask): void;
  attempt(): Attempt;
  releaseAttempt(attempt: Attempt): void;
  /** what was released before this tick may be used again */
  tick(): void;
};

export function createAskTable(maxInFlight: number, seed: number): AskTable {
  let size = 16;
  while (size < maxInFlight) size *= 2;
  const buckets = new Array<Ask | null>(size).fill(null);
  const live: Ask[] = [];
  const free: Ask[] = [];
  const resting: Ask[] = [];
  const freeAttempts: Attempt[] = [];
  const restingAttempts: Attempt[] = [];
  const bucketOf = (hash: number): number => hash & (size - 1);

  return {
    live,
    hash: (packet, end) => questionHash(packet, packet.length, end, seed),
    find(packet, end, hash) {
      for (let ask = buckets[bucketOf(hash)] as Ask | null; ask !== null; ask = ask.next) {
        if (ask.hash === hash && ask.end === end && sameQuery(ask.query, ask.length, packet, end)) return ask;
      }
      return null;
    },
    add(packet, end, hash) {
      const ask = free.pop() ?? createAsk();
      for (let i = 0; i < packet.length; i++) ask.query[i] = packet[i] as number;
      ask.length = packet.length;
      ask.end = end;
      ask.hash = hash;
      const bucket = bucketOf(hash);
      ask.next = buckets[bucket] as Ask | null;
      buckets[bucket] = ask;
      ask.place = live.length;
      live.push(ask);
      return ask;
    },
    remove(ask) {
      const bucket = bucketOf(ask.hash);
      let before = buckets[bucket] as Ask | null;
      if (before === ask) buckets[bucket] = ask.next;
      else {
        while (before !== null && before.next !== ask) before = before.next;
        if (before !== null) before.next = ask.next;
      }
      ask.next = null;
      const last = live.pop() as Ask;
      if (last !== ask) {
        live[ask.place] = last;
        last.place = ask.place;
      }
    },
    release(ask) {
      ask.done = null;
      ask.others.length = 0;
      ask.attempts.length = 0;
      ask.spent.length = 0;
      ask.fallback = null;
      resting.push(ask);
    },
    attempt: () => freeAttempts.pop() ?? createAttempt(),
    releaseAttempt(attempt) {
      attempt.ask = null;
      attempt.server = null;
      attempt.flight = null;
      attempt.state = 'idle';
      restingAttempts.push(attempt);
    },
    tick() {
      // As many are kept as were ever in flight at once; their number is bounded by that of the questions.
      for (const ask of resting) free.push(ask);
      for (const attempt of restingAttempts) freeAttempts.push(attempt);
      resting.length = 0;
      restingAttempts.length = 0;
    },
  };
}

function createAsk(): Ask {
  return {
    query: new Uint8Array(MAX_QUERY),
    length: 0,
    end: 0,
    hash: 0,
    next: null,
    place: 0,
    done: null,
    others: [],
    order: [],
    attempts: [],
    spent: [],
    fallback: null,
    turn: 0,
    open: 0,
    mismatched: 0,
    due: 0,
    deadline: 0,
    beginning: false,
    over: false,
  };
}

function createAttempt(): Attempt {
  const packet = new Uint8Array(PACKET_ROOM);
  return {
    ask: null,
    server: null,
    flight: null,
    state: 'idle',
    packet,
    view: packet,
    end: 0,
    sentAt: 0,
    until: 0,
    probe: false,
    mixed: false,
    cookie: false,
    badCookies: 0,
    byTcp: 'no',
  };
}
