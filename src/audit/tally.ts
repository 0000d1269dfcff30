// What a DNS thread tells the audit log, counted before it is told: tells clients and verdicts apart by small numbers, and
// allowed visits from what is kept. No clock, no threads, no ring: those are the caller's.

import type { Client, Decision, DnsNote, Verdict } from '../policy/types.ts';
import { createBlockCounts, type Blocked } from './block-counts.ts';
import { eventKind } from './event.ts';
import { createVisitCounts, type Draft, type Visitor } from './visit-counts.ts';

export type TallyDeps = {
  /** the text of a question's type */
  readonly typeName: (type: number) => string;
  /** read at each event */
  readonly generations: { readonly policy: number; readonly index: number };
  /** Hands an event to the writer; it is filled in again after the call. false: no room at the moment */
  readonly write: (decision: Decision) => boolean;
  /** likewise one that `add` may find; -1: no room */
  readonly writeOpen: (decision: Decision) => number;
  /** counts one more in an event that the writer has not read; false: it has */
  readonly add: (place: number, bytesIn: number, bytesOut: number, micros: number) => boolean;
  /** keeps a block or an override for which there was no room */
  readonly spill: (decision: Decision) => void;
  /** so many allowed visits were given up for want of room */
  readonly drop: (count: number) => void;
  readonly limits?: Partial<TallyLimits>;
};

export type TallyLimits = {
  /** blocks a second from one client that are events of their own; 20 unless told */
  readonly burst: number;
  /** blocks a second from one client above which their names are not told apart; 200 unless told */
  readonly flood: number;
  /** different allowed names a minute from one client that are told apart; 10,000 unless told */
  readonly names: number;
  /** the same a second; 1,000 unless told */
  readonly rush: number;
  /** allowed visits counted at a time, a power of two; 16,384 unless told */
  readonly slots: number;
  /** clients, and verdicts, known at a time; 8,192 unless told */
  readonly known: number;
};

export type Tally = {
  readonly note: DnsNote;
  /** Tells what was counted in the next `share` of the table (1: all of it). false: there was no room for some of it yet */
  flush(share: number): boolean;
  /** visits counted and not told */
  waiting(): number;
};

type Who = Visitor & Blocked;
type What = { readonly no: number; readonly kept: boolean };

/** One for each thread: every event of it must go through the same `write`, in order. */
export function createTally(deps: TallyDeps): Tally {
  const limits = {
    burst: 20,
    flood: 200,
    names: 10_000,
    rush: 1_000,
    slots: 16_384,
    known: 8_192,
    ...deps.limits,
  };
  const draft: Draft = {
    at: 0,
    channel: 'dns',
    client: NOBODY,
    host: '',
    path: null,
    method: '',
    verdict: NOTHING,
    policyGeneration: 0,
    indexGeneration: 0,
    bytesIn: 0,
    bytesOut: 0,
    durationMs: 0,
    count: 1,
  };
  const visits = createVisitCounts({
    draft,
    typeName: deps.typeName,
    generations: deps.generations,
    offer: deps.write,
    drop: deps.drop,
    slots: limits.slots,
    names: limits.names,
    rush: limits.rush,
  });
  const blocks = createBlockCounts({
    draft,
    typeName: deps.typeName,
    generations: deps.generations,
    write: deps.write,
    writeOpen: deps.writeOpen,
    add: deps.add,
    spill: deps.spill,
    burst: limits.burst,
    flood: limits.flood,
  });
  let lastNo = 0;
  // Numbers are not given twice, so that what was counted under a forgotten one is never mixed with another's.
  const next = (): number => (lastNo = (lastNo + 1) & 0x7fffffff || 1);
  const whos = createMemory<Client, Who>(limits.known, () => ({
    no: next(),
    minute: -1,
    names: 0,
    newSecond: -1,
    newNames: 0,
    second: -1,
    seen: 0,
    flooding: false,
  }));
  const byWords = createMemory<string, What>(limits.known, () => ({ no: next(), kept: false }));
  const whats = createMemory<Verdict, What>(limits.known, (verdict) => ({
    // Some verdicts are made anew each time; what they say is the same.
    no: byWords(wordsOf(verdict)).no,
    kept: eventKind(verdict.action, verdict.overrideId) !== 0,
  }));
  let lastClient: Client = NOBODY;
  let lastVerdict: Verdict = NOTHING;
  let who = whos(NOBODY);
  let what = whats(NOTHING);

  return {
    note(lo, hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host) {
      if (client !== lastClient) {
        who = whos(client);
        lastClient = client;
      }
      if (verdict !== lastVerdict) {
        what = whats(verdict);
        lastVerdict = verdict;
      }
      if (what.kept) {
        blocks.note(who, what.no, lo, hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host);
      } else {
        visits.note(who, what.no, lo, hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host);
      }
    },
    flush: visits.flush,
    waiting: visits.waiting,
  };
}

/** What is known of a key, made when it is not; the `limit` to twice the `limit` keys asked for last. */
function createMemory<K, V>(limit: number, make: (key: K) => V): (key: K) => V {
  let recent = new Map<K, V>();
  let older = new Map<K, V>();
  return (key) => {
    let value = recent.get(key);
    if (value !== undefined) return value;
    value = older.get(key) ?? make(key);
    if (recent.size >= limit) {
      older = recent;
      recent = new Map();
    }
    recent.set(key, value);
    return value;
  };
}

/** All that a row tells of a verdict. */
function wordsOf(v: Verdict): string {
  return `${v.action}\n${v.reason}\n${v.category ?? ''}\n${v.rating ?? ''}\n${v.rule}\n${v.list ?? ''}\n${v.group}\n${v.overrideId ?? ''}`;
}

const NOBODY: Client = { address: '', device: null, group: '', class: null, user: null, inCharge: null };
const NOTHING: Verdict = {
  action: 'allow',
  reason: 'default-allow',
  category: null,
  rating: null,
  rule: '',
  list: null,
  group: '',
  overrideId: null,
  target: null,
  until: null,
};
