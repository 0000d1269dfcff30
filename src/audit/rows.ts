// From events to rows, in memory: which events share a row, what has changed since the last commit, which blocks are
// final. No database here: the store writes what `dirty` says and calls `committed`.

import { eventKind, type DecodedDecision, type EventKind } from './event.ts';

/** A row in the making. `saved` is what the database already holds of it. */
export type Row = {
  readonly event: DecodedDecision;
  readonly kind: EventKind;
  readonly rollup: Rollup;
  path: string | null;
  count: number;
  bytesIn: number;
  bytesOut: number;
  durationMs: number;
  /** 0 until the row is in the database */
  id: number;
  saved: { count: number; bytesIn: number; bytesOut: number };
  /** values as stored, for the hash of a chained row; null until stored */
  coded: (number | string | null)[] | null;
  dirty: boolean;
};

/** An hour's sums for one group, class, category, action and channel: what came since the last commit. */
export type Rollup = {
  readonly event: DecodedDecision;
  readonly hour: number;
  count: number;
  bytesIn: number;
  bytesOut: number;
  dirty: boolean;
};

export type RowBook = {
  /** takes an event in; true when it joined a row that was there */
  add(event: DecodedDecision): boolean;
  /** rows with something to write, in the order they came */
  readonly dirty: readonly Row[];
  readonly rollups: readonly Rollup[];
  /** shared rows of blocks that are final at `now`; they stay listed until `committed` */
  sealed(now: number): readonly Row[];
  /** everything dirty is in the database, and the sealed rows are chained */
  committed(now: number): void;
  /** the database is gone: what it lacks now counts as new */
  startOver(): void;
  /** gives up waiting rows, allowed visits first, until `limit` are left; returns the events lost by kind */
  shed(limit: number): { visits: number; kept: number };
  /** rows remembered, written or not */
  size(): number;
};

const HOUR = 3_600_000;
const MINUTE = 60_000;
const SECOND = 1000;

/** `burst`: blocks a second from one client that get rows of their own. `limit`: open rows remembered. */
export function createRowBook({ burst, limit }: { burst: number; limit: number }): RowBook {
  let dirty: Row[] = [];
  let rollups: Rollup[] = [];
  const visits = new Map<string, Row>();
  const shared = new Map<string, Row>();
  const rates = new Map<string, { second: number; seen: number }>();
  const sums = new Map<string, Rollup>();
  /** shared rows whose second is over, with or without a newer one under their key */
  let closing: Row[] = [];

  const rollupOf = (event: DecodedDecision): Rollup => {
    const hour = Math.floor(event.at / HOUR);
    const key = `${hour}\n${event.group}\n${event.class ?? ''}\n${event.category ?? ''}\n${event.action}\n${event.channel}`;
    let rollup = sums.get(key);
    if (rollup === undefined) {
      if (sums.size >= limit) sums.clear();
      rollup = { event, hour, count: 0, bytesIn: 0, bytesOut: 0, dirty: false };
      sums.set(key, rollup);
    }
    return rollup;
  };

  const touch = (row: Row) => {
    if (row.dirty) return;
    row.dirty = true;
    dirty.push(row);
  };

  const open = (event: DecodedDecision, kind: EventKind): Row => ({
    event,
    kind,
    rollup: rollupOf(event),
    path: event.path,
    count: 0,
    bytesIn: 0,
    bytesOut: 0,
    durationMs: 0,
    id: 0,
    saved: { count: 0, bytesIn: 0, bytesOut: 0 },
    coded: null,
    dirty: false,
  });

  const count = (row: Row, event: DecodedDecision) => {
    row.count += event.count;
    row.bytesIn += event.bytesIn;
    row.bytesOut += event.bytesOut;
    if (event.durationMs > row.durationMs) row.durationMs = event.durationMs;
    // One path would mislead for several visits.
    if (event.path !== row.path) row.path = null;
    touch(row);
    const { rollup } = row;
    rollup.count += event.count;
    rollup.bytesIn += event.bytesIn;
    rollup.bytesOut += event.bytesOut;
    if (!rollup.dirty) {
      rollup.dirty = true;
      rollups.push(rollup);
    }
  };

  const isBurst = (event: DecodedDecision): boolean => {
    const second = Math.floor(event.at / SECOND);
    let rate = rates.get(event.client);
    if (rate === undefined) {
      if (rates.size >= limit) rates.clear();
      rate = { second, seen: 0 };
      rates.set(event.client, rate);
    }
    if (rate.second !== second) {
      rate.second = second;
      rate.seen = 0;
    }
    return ++rate.seen > burst;
  };

  const addVisit = (event: DecodedDecision): boolean => {
    const key = `${Math.floor(event.at / MINUTE)}\n${entryKey(event)}`;
    const known = visits.get(key);
    const row = known ?? open(event, 0);
    count(row, event);
    if (known !== undefined) return true;
    if (visits.size >= limit) visits.delete(visits.keys().next().value!);
    visits.set(key, row);
    return false;
  };

  const addKept = (event: DecodedDecision, kind: EventKind): boolean => {
    // The end of a tunnel is a row of its own with a count of 0: the row of its beginning may be chained by now.
    if (event.more || (!isBurst(event) && event.count <= 1)) {
      count(open(event, kind), event);
      return false;
    }
    const key = entryKey(event);
    const known = shared.get(key);
    if (known !== undefined && Math.abs(event.at - known.event.at) < SECOND) {
      count(known, event);
      return true;
    }
    if (known !== undefined) closing.push(known);
    const row = open(event, kind);
    count(row, event);
    shared.set(key, row);
    return false;
  };

  const close = (now: number) => {
    for (const [key, row] of shared) {
      if (Math.abs(now - row.event.at) < SECOND && shared.size < limit) continue;
      shared.delete(key);
      closing.push(row);
    }
  };

  return {
    get dirty() {
      return dirty;
    },
    get rollups() {
      return rollups;
    },
    add(event) {
      const kind = eventKind(event.action, event.overrideId);
      return kind === 0 ? addVisit(event) : addKept(event, kind);
    },
    sealed(now) {
      close(now);
      if (shared.size === 0)
        return [...dirty.filter((row) => row.kind > 0), ...closing.filter((row) => !row.dirty)];
      const waiting = new Set(shared.values());
      return [
        ...dirty.filter((row) => row.kind > 0 && !waiting.has(row)),
        ...closing.filter((row) => !row.dirty),
      ];
    },
    committed(now) {
      for (const row of dirty) {
        row.dirty = false;
        row.saved = { count: row.count, bytesIn: row.bytesIn, bytesOut: row.bytesOut };
      }
      for (const rollup of rollups) {
        rollup.dirty = false;
        rollup.count = rollup.bytesIn = rollup.bytesOut = 0;
      }
      dirty = [];
      rollups = [];
      closing = [];
      // A minute that is over may still get stragglers from a slower thread for a little while.
      for (const [key, row] of visits) {
        if (now - row.event.at < 2 * MINUTE) break;
        visits.delete(key);
      }
      const hour = Math.floor(now / HOUR) - 1;
      for (const [key, rollup] of sums) if (rollup.hour < hour) sums.delete(key);
    },
    startOver() {
      visits.clear();
      shared.clear();
      closing = [];
      for (const row of dirty) {
        row.count -= row.saved.count;
        row.bytesIn -= row.saved.bytesIn;
        row.bytesOut -= row.saved.bytesOut;
        row.saved = { count: 0, bytesIn: 0, bytesOut: 0 };
        row.id = 0;
        row.coded = null;
      }
    },
    shed(most) {
      const lost = { visits: 0, kept: 0 };
      if (dirty.length <= most) return lost;
      let excess = dirty.length - most;
      const drop = (kept: boolean) => {
        dirty = dirty.filter((row) => {
          // A block's row that is half saved stays: it must still be chained.
          if (excess === 0 || row.kind > 0 !== kept || (kept && row.id !== 0)) return true;
          excess--;
          row.dirty = false;
          lost[kept ? 'kept' : 'visits'] += row.count - row.saved.count;
          return false;
        });
      };
      drop(false);
      drop(true);
      // A row that was given up must not be joined by later events.
      for (const [key, row] of visits) if (!row.dirty && row.count !== row.saved.count) visits.delete(key);
      for (const [key, row] of shared) if (!row.dirty && row.count !== row.saved.count) shared.delete(key);
      closing = closing.filter((row) => row.id !== 0 || row.dirty);
      return lost;
    },
    size: () => visits.size + shared.size + dirty.length,
  };
}

/** What must be equal for two events to be the same visit, or the same block over and over. */
function entryKey(e: DecodedDecision): string {
  return `${e.client}\n${e.host}\n${e.channel}\n${e.action}\n${e.reason}\n${e.user ?? ''}\n${e.group}\n${e.class ?? ''}\n${e.inCharge ?? ''}\n${e.device ?? ''}\n${e.category ?? ''}\n${e.list ?? ''}\n${e.rule}\n${e.overrideId ?? ''}`;
}
