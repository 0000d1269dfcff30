// What the audit log costs: CPU per event on the way in, bytes on disk, and how long a search over a million rows takes.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { decodeDecision, encodeDecision, MAX_EVENT_BYTES, type DecodedDecision } from '../src/audit/event.ts';
import { openReader, type EventFilter } from '../src/audit/reader.ts';
import { openStore } from '../src/audit/store.ts';
import type { Decision } from '../src/policy/types.ts';
import { measureNotes } from './audit-notes.ts';
import type { BenchRow } from './rows.ts';

const T0 = Date.UTC(2026, 10, 23, 9, 0, 0);
const ROWS = 1_000_000;

const client = (n: number) => ({
  address: `10.2.${(n >> 6) & 3}.${n & 63}`,
  device: 'year-2-ipads',
  group: 'ks1',
  class: 'hedgehogs',
  user: null,
  inCharge: 'm.hart',
});

const decision = (n: number, action: 'block' | 'allow'): Decision => ({
  at: T0 + n * 2,
  channel: 'dns',
  client: client(n),
  host: `n${n % 5000}.tracker.example`,
  path: null,
  method: n % 2 ? 'A' : 'AAAA',
  verdict: {
    action,
    reason: action === 'block' ? 'unacceptable' : 'acceptable',
    category: 'advertising',
    rating: action === 'block' ? 'unacceptable' : 'acceptable',
    rule: 'advertising is rated for ks1',
    list: 'starter-advertising',
    group: 'ks1',
    overrideId: null,
    target: null,
    until: null,
  },
  policyGeneration: 3,
  indexGeneration: 7,
  bytesIn: 42,
  bytesOut: 96,
  durationMs: 0.2,
});

/** Runs `work` on `events` events and gives rate and CPU per event. */
function measure(name: string, unit: string, events: number, work: () => void): BenchRow {
  const cpu = process.cpuUsage();
  const start = performance.now();
  work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { name, figure: Math.round(events / seconds), unit, cpuMicros: (user + system) / events };
}

function measureCodec(): BenchRow[] {
  const bytes = new Uint8Array(1 << 20);
  const some = Array.from({ length: 1000 }, (_, n) => decision(n, 'block'));
  const offsets: number[] = [0];
  const encode = () => {
    offsets.length = 1;
    for (const one of some) offsets.push(offsets.at(-1)! + encodeDecision(one, bytes, offsets.at(-1)!));
  };
  const decode = () => {
    for (let i = 1; i < offsets.length; i++) {
      if (decodeDecision(bytes, offsets[i - 1]!, offsets[i]! - offsets[i - 1]!) === null)
        throw new Error('lost one');
    }
  };
  const times = (n: number, work: () => void) => () => {
    for (let i = 0; i < n; i++) work();
  };
  times(50, encode)();
  times(50, decode)();
  return [
    measure('audit: encode an event', 'events/s', 300_000, times(300, encode)),
    measure('audit: decode an event', 'events/s', 200_000, times(200, decode)),
  ];
}

/** The event as the writer has it, by way of its bytes. */
function decoded(one: Decision, bytes: Uint8Array): DecodedDecision {
  return decodeDecision(bytes, 0, encodeDecision(one, bytes, 0))!;
}

function measureStore(dir: string): BenchRow[] {
  const file = join(dir, 'audit.db');
  const store = openStore({
    file,
    site: 'main',
    now: () => T0,
    log: () => {},
    ballastBytes: 0,
    sync: 'normal',
  });
  const bytes = new Uint8Array(MAX_EVENT_BYTES);
  const write = (events: readonly DecodedDecision[]) => () => {
    for (let i = 0; i < events.length; i += 1000) {
      if (!store.write(events.slice(i, i + 1000))) throw new Error('the store could not write');
    }
  };
  const blocks = Array.from({ length: 40_000 }, (_, n) => decoded(decision(n, 'block'), bytes));
  // A classroom's minute: 64 clients on 50 names.
  const visits = Array.from({ length: 200_000 }, (_, n) => ({
    ...decoded(decision(0, 'allow'), bytes),
    client: client(n % 64).address,
    host: `site-${Math.floor(n / 64) % 50}.example`,
    at: T0 + (n % 60_000),
  }));
  const rows = [
    measure('audit: store blocks', 'events/s', blocks.length, write(blocks)),
    measure('audit: store allowed visits, counted together', 'events/s', visits.length, write(visits)),
  ];
  store.write([{ ...decoded(decision(0, 'allow'), bytes), group: 'staff', at: T0 - 1 }]);
  const { coalesced } = store.stats();
  store.close();
  const held = blocks.length + visits.length - coalesced;
  rows.push({
    name: 'audit: disk per row, chain and indexes included',
    figure: Math.round(statSync(file).size / held),
    unit: 'bytes',
  });
  return rows;
}

/** A million rows made from the ones there, as a term of school days would leave them. */
function grow(file: string): void {
  const db = new Sqlite(file);
  const columns = db
    .prepare('SELECT * FROM entries LIMIT 0')
    .columns()
    .map(({ name }) => name);
  const has = Number(db.prepare('SELECT count(*) FROM entries').pluck().get());
  const last = Number(db.prepare('SELECT max(id) FROM entries').pluck().get());
  const made = columns.map((name) =>
    name === 'id' ? `e.id + ${last} * n.value` : name === 'at' ? 'e.at + 100000 * n.value' : name,
  );
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -200000');
  // The search walks these two and the host's; the others only cost time here.
  db.exec(
    'DROP INDEX entries_client; DROP INDEX entries_kind; DROP INDEX entries_class; DROP INDEX entries_open',
  );
  db.exec(
    `INSERT INTO entries SELECT ${made.join(', ')} FROM (WITH RECURSIVE n (value) AS
       (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100) SELECT value FROM n) n, entries e
     WHERE e.id <= ${last} LIMIT ${ROWS - has}`,
  );
  db.exec(
    'CREATE INDEX entries_client ON entries (client_id, at); CREATE INDEX entries_kind ON entries (kind, at)',
  );
  db.close();
}

function measureSearch(dir: string): BenchRow[] {
  const file = join(dir, 'audit.db');
  grow(file);
  const reader = openReader({ file });
  const search = (name: string, filter: Omit<EventFilter, 'limit'>, matches: boolean): BenchRow => {
    const times: number[] = [];
    const cpu = process.cpuUsage();
    for (let n = 0; n < 7; n++) {
      const start = performance.now();
      const { items } = reader.events({ ...filter, limit: 100 });
      times.push(performance.now() - start);
      if (items.length > 0 !== matches) throw new Error(`${name}: ${items.length} rows`);
    }
    const { user, system } = process.cpuUsage(cpu);
    return {
      name: `audit: search 1 M rows, ${name}`,
      figure: times.sort((a, b) => a - b)[3]!,
      unit: 'ms',
      cpuMicros: (user + system) / 7,
    };
  };
  const rows = [
    search('newest 100', {}, true),
    search('blocks of one client', { client: '10.2.1.7', verdict: 'block' }, true),
    search('a name and all below it', { host: 'tracker.example', verdict: 'block' }, true),
    search('no match, no index: gives up its page', { group: 'staff', from: T0 }, false),
  ];
  reader.close();
  return rows;
}

/** Rates, CPU per event and per query, bytes on disk and search times; about a minute. */
export async function measureAudit(): Promise<BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'audit-bench-'));
  try {
    const notes = await measureNotes(dir);
    return [...notes, ...measureCodec(), ...measureStore(dir), ...measureSearch(dir)];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
