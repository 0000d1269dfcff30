// Events, decisions and stores for the audit tests. No tests here.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { openReader, type EventFilter, type EventRow, type Reader } from '../../src/audit/reader.ts';
import { openStore, type Store, type StoreDeps } from '../../src/audit/store.ts';
import { block, byOverride, DAY, T0, visit } from '../faults/audit-events.ts';
import { decisionOf } from './decision-of.ts';

export { decisionOf, block, byOverride, DAY, T0, visit };

export type Note = { level: string; message: string; event: string; file: string; count?: number };

export type Bench = {
  dir: string;
  file: string;
  /** the time that the store is told */
  time: { now: number };
  notes: Note[];
  open(more?: Partial<StoreDeps>): Store;
  reader(budgetMs?: number): Reader;
};

/** A directory of its own for each test, with everything opened in it closed and removed afterwards. */
export function createBench(): Bench {
  const dir = mkdtempSync(join(tmpdir(), 'audit-'));
  const file = join(dir, 'audit.db');
  const time = { now: T0 };
  const notes: Note[] = [];
  const closers: (() => void)[] = [];
  const bench: Bench = {
    dir,
    file,
    time,
    notes,
    open(more = {}) {
      const store = openStore({
        file,
        site: 'main',
        now: () => time.now,
        log: (level, message, fields) => notes.push({ level, message, ...fields } as Note),
        sync: 'normal',
        ballastBytes: 0,
        ...more,
      });
      closers.push(() => store.close());
      return store;
    },
    reader(budgetMs = 10_000) {
      const reader = openReader({ file, budgetMs });
      closers.push(() => reader.close());
      return reader;
    },
  };
  opened.push(() => {
    for (const close of closers.reverse()) {
      try {
        close();
      } catch {
        // Tests close some themselves.
      }
    }
    rmSync(dir, { recursive: true, force: true });
  });
  return bench;
}

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Every row of a search, page by page. */
export function allEvents(
  reader: Reader,
  filter: Omit<EventFilter, 'limit' | 'cursor'> = {},
  limit = 500,
): EventRow[] {
  const rows: EventRow[] = [];
  let cursor: string | undefined;
  do {
    const page = reader.events({ ...filter, limit, cursor });
    rows.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return rows;
}

export const countOf = (rows: readonly { count: number }[]): number =>
  rows.reduce((sum, row) => sum + row.count, 0);
