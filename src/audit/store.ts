// The only writer of audit.db. Takes batches of events, keeps them in one transaction each, and goes on through a full
// disk, a damaged file and a locked one: rows wait in memory, and only what no longer fits there is counted as lost.
// Knows no threads: the writer thread calls it.

import { statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Database } from 'better-sqlite3';
import type { OutboxRow } from '../state/outbox.ts';
import { createBallast } from './ballast.ts';
import { createCopies, type ChangeCopy, type OverrideCopy } from './copies.ts';
import {
  clearVanished,
  failureKind,
  identityOf,
  openDatabase,
  setAside,
  stillAt,
  type AuditLog,
  type AuditNotice,
} from './database.ts';
import { createEntryWriter, type EntryWriter } from './entries.ts';
import type { DecodedDecision } from './event.ts';
import { createRetention, type RetentionStep, type RetentionRules } from './retention.ts';
import { createRowBook } from './rows.ts';
import { listSpills, readSpill, removeSpill } from './spill.ts';

export type StoreDeps = {
  readonly file: string;
  /** the school's site id, in every row */
  readonly site: string;
  /** UTC ms */
  readonly now: () => number;
  readonly log: AuditLog;
  /** `full` (default): a committed batch survives a power cut; `normal`: it may not, and an SD card lives longer */
  readonly sync?: 'full' | 'normal';
  /** bytes of the file `ballast` beside the database that is freed on a full disk; 0 for none; 16 MiB unless told */
  readonly ballastBytes?: number;
  readonly retention?: RetentionRules;
  /** rows that wait in memory while the file cannot be written; 20,000 unless told */
  readonly maxHeld?: number;
  /** texts remembered per kind, and open rows remembered; 20,000 unless told */
  readonly maxRemembered?: number;
  /** blocks a second from one client that get rows of their own; 20 unless told */
  readonly burst?: number;
  /** opens a connection; for tests */
  readonly connect?: (file: string) => Database;
};

/** The part of StoreDeps that is plain data, to be sent to a thread. */
export type StoreSettings = Omit<StoreDeps, 'now' | 'log' | 'connect'>;

/** Counts since the store was opened. */
type StoreStats = {
  /** events whose rows are in the database */
  written: number;
  /** of those taken in, events that joined a row that was there */
  coalesced: number;
  /** visits given up because neither disk nor memory would hold them */
  lostVisits: number;
  /** blocks and overrides given up likewise */
  lostKept: number;
  /** events taken in from spill files */
  spilled: number;
  /** rows that wait in memory now */
  held: number;
  /** rows removed by retention or erasure */
  removed: number;
  /** times that a damaged or vanished database was replaced: copies of overrides and changes must then be sent again */
  replaced: number;
};

export type Store = {
  /**
   * Takes a batch in and commits it with whatever waited, and with `marks` of how far each source is. False: it waits in
   * memory and is tried again with the next call. Never throws.
   */
  write(batch: readonly DecodedDecision[], marks?: Readonly<Record<string, string>>): boolean;
  /** the mark of a source that is in the database */
  markOf(source: string): string | null;
  /** copies of overrides, upserted by id: sending one twice is harmless. Throws when they are not stored: send again */
  overrides(rows: readonly OverrideCopy[]): void;
  /** likewise, of the change log */
  changes(rows: readonly ChangeCopy[]): void;
  /** rows of state.db's outbox, all or none; throws likewise */
  copy(rows: readonly OutboxRow[]): void;
  /** takes in the finished spill files of a directory, one after the other; returns the events taken */
  takeSpills(dir: string): number;
  /**
   * Sees whether the file is still at its path, seals what is final and takes one small step of retention; `more` asks
   * for another soon. Never throws
   */
  maintain(now: number): RetentionStep;
  /** removes up to `limit` rows of a person or an address for good; returns how many, 0 when done. Throws as SQLite does */
  erase(who: { readonly user?: string; readonly client?: string }, limit: number): number;
  stats(): StoreStats;
  close(): void;
};

/** Opens or makes the audit database. Throws when the file can neither be opened nor made. */
export function openStore(deps: StoreDeps): Store {
  const { file, now } = deps;
  const maxHeld = deps.maxHeld ?? 20_000;
  const remembered = deps.maxRemembered ?? 20_000;
  const ballast = createBallast(join(dirname(file), 'ballast'), deps.ballastBytes ?? 16 << 20);
  const book = createRowBook({ burst: deps.burst ?? 20, limit: remembered });
  const lost = { visits: 0, kept: 0 };
  const log = ({ level, message, ...fields }: AuditNotice) => deps.log(level, message, fields);
  let [written, coalesced, spilled, replaced, removed] = [0, 0, 0, 0, 0];
  let waiting = 0;
  let spilledWaiting = 0;
  let [spills, marks]: [string[], Readonly<Record<string, string>>] = [[], {}];
  let failing = false;

  const connect = () => {
    const db = openDatabase(file, deps.sync ?? 'full', now, note, deps.connect);
    try {
      const writer = createEntryWriter(db, deps.site, remembered);
      sealLeftovers(writer);
      return {
        db,
        identity: identityOf(file),
        writer,
        copies: createCopies(db),
        retention: createRetention(writer, deps.retention ?? {}),
      };
    } catch (error) {
      db.close();
      throw error;
    }
  };
  const sealLeftovers = (writer: EntryWriter) => {
    try {
      writer.sealLeftovers(now());
    } catch (error) {
      // On a full disk they stay open until the next start; only damage must be known now.
      if (failureKind(error) === 'corrupt') throw error;
    }
  };
  const note = (notice: AuditNotice) => {
    if (notice.event === 'set-aside' || notice.event === 'vanished') replaced++;
    log(notice);
  };
  let open = firstOpen();
  if (!ballast.refill()) {
    log({
      level: 'warn',
      event: 'ballast-missing',
      file,
      message: 'there is no room on the disk for the audit ballast file: free some space',
    });
  }

  function firstOpen() {
    try {
      return connect();
    } catch (error) {
      const kind = failureKind(error);
      if (kind === 'corrupt') setAside(file, now(), note);
      else if (kind !== 'full' || !ballast.free()) throw error;
      return connect();
    }
  }

  const startOver = (clear: typeof clearVanished) => {
    try {
      open.db.close();
    } catch {
      // A damaged file may refuse even this; it is renamed all the same.
    }
    clear(file, now(), note);
    book.startOver();
    open = connect();
  };

  /**
   * Runs `action`, never on a file that someone removed; on a damaged file once more with a new one, on a full disk
   * once more without the ballast.
   */
  const withRescue = (action: (writer: EntryWriter) => void): unknown => {
    for (let attempt = 0; ; attempt++) {
      try {
        if (open.db.open && !stillAt(file, open.identity)) startOver(clearVanished);
        action(open.writer);
        return null;
      } catch (error) {
        try {
          if (attempt > 1 || !rescue(error)) return error;
        } catch (second) {
          return second;
        }
      }
    }
  };

  const rescue = (error: unknown): boolean => {
    const kind = failureKind(error);
    if (!open.db.open) {
      // A new file could not be begun last time.
      open = connect();
      return true;
    }
    if (kind === 'corrupt') {
      startOver(setAside);
      return true;
    }
    if (kind !== 'full' || !ballast.free()) return false;
    log({
      level: 'error',
      event: 'ballast-freed',
      file,
      message: `the disk with ${dirname(file)} is full; the audit ballast was deleted so that logging goes on: free some space`,
    });
    return true;
  };

  const commit = (): boolean => {
    const time = now();
    if (book.dirty.length === 0 && spills.length === 0 && book.sealed(time).length === 0) return true;
    const error = withRescue((writer) =>
      writer.write(
        { rows: book.dirty, rollups: book.rollups, sealed: book.sealed(time), spills, marks },
        time,
      ),
    );
    if (error !== null) {
      giveUpExcess(error);
      return false;
    }
    book.committed(time);
    written += waiting;
    spilled += spilledWaiting;
    waiting = spilledWaiting = 0;
    [spills, marks] = [[], {}];
    if (failing) {
      failing = false;
      log({ level: 'info', event: 'writing-again', file, message: 'the audit database takes rows again' });
    }
    return true;
  };

  const giveUpExcess = (error: unknown) => {
    if (!failing) {
      failing = true;
      const why = error instanceof Error ? error.message : String(error);
      const room = failureKind(error) === 'full' ? ` (${freeSpace(file)} free)` : '';
      log({
        level: 'error',
        event: failureKind(error) === 'full' ? 'disk-full' : 'holding',
        file,
        message: `the audit database cannot be written: ${why}${room}; rows wait in memory`,
      });
    }
    const shed = book.shed(maxHeld);
    if (shed.visits + shed.kept === 0) return;
    lost.visits += shed.visits;
    lost.kept += shed.kept;
    waiting -= shed.visits + shed.kept;
    log({
      level: 'error',
      event: 'lost',
      file,
      message: `audit events were lost: ${shed.visits} visits, ${shed.kept} blocks and overrides`,
      count: shed.visits + shed.kept,
    });
  };

  const take = (batch: readonly DecodedDecision[]) => {
    for (const event of batch) {
      const joined = book.add(event);
      // The end of a tunnel counts nothing, but is an event that waits like any other.
      const stands = Math.max(1, event.count);
      coalesced += joined ? stands : stands - 1;
      waiting += stands;
    }
  };

  const takeSpill = (name: string, path: string): number => {
    let held: ReturnType<typeof readSpill>;
    try {
      held = readSpill(path);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log({
        level: 'error',
        event: 'spill-damaged',
        file: path,
        message: `a spill file cannot be read: ${why}`,
      });
      return 0;
    }
    const { events, damaged } = held;
    if (damaged > 0) {
      const message = `the end of a spill file could not be read (${damaged} bytes)`;
      log({ level: 'warn', event: 'spill-damaged', file: path, message, count: damaged });
    }
    take(events);
    for (const event of events) spilledWaiting += Math.max(1, event.count);
    spills = [...spills, name];
    if (!commit()) return 0;
    removeSpill(path);
    log({
      level: 'info',
      event: 'spill-taken',
      file: path,
      message: 'spilled audit events were taken in',
      count: events.length,
    });
    return events.length;
  };

  return {
    write(batch, reached = {}) {
      take(batch);
      marks = { ...marks, ...reached };
      return commit();
    },
    markOf: (source) => open.writer.markOf(source),
    overrides: (rows) => orThrow(withRescue(() => open.copies.overrides(rows))),
    changes: (rows) => orThrow(withRescue(() => open.copies.changes(rows))),
    copy: (rows) => orThrow(withRescue(() => open.copies.fromOutbox(rows))),
    takeSpills(dir) {
      let taken = 0;
      for (const { name, path } of listSpills(dir)) {
        // While rows wait in memory the spilled ones are safer where they are.
        if (!commit()) break;
        let known = false;
        const error = withRescue((writer) => {
          known = writer.hasSpill(name);
        });
        if (error !== null) break;
        if (known) removeSpill(path);
        else taken += takeSpill(name, path);
      }
      return taken;
    },
    maintain(time) {
      if (!commit()) return { removed: 0, more: false };
      ballast.refill();
      let step: RetentionStep = { removed: 0, more: false };
      withRescue(() => {
        step = open.retention.step(time);
      });
      removed += step.removed;
      if (step.removed > 0) {
        log({
          level: 'info',
          event: 'retention',
          file,
          message: 'audit rows past their time were removed',
          count: step.removed,
        });
      }
      return step;
    },
    erase(who, limit) {
      const gone = open.retention.erase(who, limit, now());
      removed += gone;
      return gone;
    },
    stats: () => ({
      written,
      coalesced,
      lostVisits: lost.visits,
      lostKept: lost.kept,
      spilled,
      held: book.dirty.length,
      removed,
      replaced,
    }),
    close() {
      if (!commit()) {
        const count = waiting;
        log({
          level: 'error',
          event: 'lost',
          file,
          message: `${count} audit events were lost at the end`,
          count,
        });
      }
      if (!open.db.open) return;
      // The last rows may still be within their second; nothing joins them any more.
      withRescue(() => sealLeftovers(open.writer));
      open.db.close();
    },
  };
}

function freeSpace(file: string): string {
  try {
    const disk = statfsSync(dirname(file));
    return `${Math.round((disk.bavail * disk.bsize) / 1e6)} MB`;
  } catch {
    return 'an unknown amount';
  }
}

function orThrow(error: unknown): void {
  if (error !== null) throw error;
}
