// The search through `events`: newest first, paged by a cursor of (at, id), so that rows written meanwhile neither
// repeat nor hide one. SQLite here cannot be interrupted, so a search walks an index in stretches and stops when its
// time is up, with the cursor of where it was. Every word of the filter is a bound parameter.

import type { Database } from 'better-sqlite3';
import type { Action, Channel, RatingKind, Reason } from '../policy/types.ts';
import { hostKey } from './dictionary.ts';
import { WORD, type WordKind } from './schema.ts';

export type EventFilter = {
  /** UTC ms, included */
  readonly from?: number;
  /** UTC ms, not included */
  readonly to?: number;
  readonly user?: string;
  readonly group?: string;
  readonly class?: string;
  readonly client?: string;
  /** a name with everything below it; with `=` before it that name alone */
  readonly host?: string;
  readonly category?: string;
  /** the action: block, allow, rewrite, portal, error */
  readonly verdict?: string;
  readonly channel?: string;
  /** rows per page, 1 to 1,000 */
  readonly limit: number;
  /** `next` of the page before */
  readonly cursor?: string;
};

/** A row of the `events` view. Times are UTC ms. */
export type EventRow = {
  readonly id: number;
  readonly at: number;
  readonly site: string;
  readonly channel: Channel;
  readonly client: string;
  readonly device: string | null;
  readonly user: string | null;
  readonly grp: string;
  readonly class: string | null;
  readonly in_charge: string | null;
  readonly host: string;
  readonly path: string | null;
  readonly qtype_or_method: string;
  readonly category: string | null;
  readonly list: string | null;
  readonly rating: RatingKind | null;
  readonly action: Action;
  readonly reason: Reason;
  readonly rule: string;
  readonly override_id: string | null;
  readonly policy_generation: number;
  readonly index_generation: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly duration_ms: number;
  readonly count: number;
};

/** `next` is null when there is no more. A page may hold fewer rows than asked, even none, and still have a `next`. */
export type Page<T> = { readonly items: T[]; readonly next: string | null };

export type Search = (filter: EventFilter) => Page<EventRow>;

export const MAX_PAGE = 1000;

/** Index entries looked at before the clock is looked at. */
const STRETCH = 5000;
/** Below so many hits by host it is cheaper to sort them than to walk by time. */
const FEW = 20_000;

type Place = { at: number; id: number };
type Condition = { sql: string; values: (number | string)[] };

/** `budgetMs`: how long a page may take; `clock` in ms. Throws a RangeError for a cursor that is not one of ours. */
export function createSearch(db: Database, clock: () => number, budgetMs: number): Search {
  const word = db
    .prepare<[number, string], number>('SELECT id FROM words WHERE kind = ? AND text = ?')
    .pluck();
  const host = db.prepare<[string], number>('SELECT id FROM hosts WHERE key = ?').pluck();
  const hostsBelow = db
    .prepare<[string, string, string], number>(
      'SELECT id FROM hosts WHERE key = ? OR (key >= ? AND key < ?) LIMIT 2',
    )
    .pluck();
  // All rows of a page at once: a view of this many joins costs more to start than to read.
  const rows = db.prepare<[string], EventRow>(
    'SELECT * FROM events WHERE id IN (SELECT value FROM json_each(?)) ORDER BY at DESC, id DESC',
  );

  const run = (filter: EventFilter): Page<EventRow> => {
    const limit = Math.min(Math.max(1, Math.trunc(filter.limit) || 1), MAX_PAGE);
    const plan = planOf(filter);
    const start = filter.cursor === undefined ? null : parseCursor(filter.cursor);
    if (plan === null) return { items: [], next: null };
    const { ids, next } = plan.few ? sorted(plan, start, limit) : walk(plan, start, limit);
    return { items: rows.all(JSON.stringify(ids)), next };
  };

  /** Which index to walk, and what else must hold; null when a word of the filter was never seen. */
  const planOf = (filter: EventFilter): Plan | null => {
    const drive: Condition = { sql: '1', values: [] };
    const rest: Condition = { sql: '1', values: [] };
    const and = (to: Condition, sql: string, ...values: (number | string)[]) => {
      to.sql += ` AND ${sql}`;
      to.values.push(...values);
    };
    let index = 'entries_at';
    const seek = (name: string, sql: string, id: number) => {
      if (index === 'entries_at') {
        index = name;
        and(drive, sql, id);
      } else {
        and(rest, sql, id);
      }
    };
    let hosts: Condition | null = null;
    if (filter.host !== undefined) {
      const exact = filter.host.startsWith('=');
      const name = filter.host
        .slice(exact ? 1 : 0)
        .toLowerCase()
        .replace(/\.$/, '');
      const key = hostKey(name);
      const found = exact
        ? [host.get(key)].filter((id) => id !== undefined)
        : hostsBelow.all(key, `${key}.`, `${key}/`);
      if (found.length === 0) return null;
      if (found.length === 1) seek('entries_host', 'host_id = ?', found[0]!);
      else {
        hosts = {
          sql: 'host_id IN (SELECT id FROM hosts WHERE key = ? OR (key >= ? AND key < ?))',
          values: [key, `${key}.`, `${key}/`],
        };
      }
    }
    const words: [string | undefined, WordKind, string, string | null][] = [
      [filter.client, WORD.client, 'client_id', 'entries_client'],
      [filter.user, WORD.user, 'user_id', 'entries_user'],
      [filter.class, WORD.class, 'class_id', 'entries_class'],
      [filter.group, WORD.group, 'group_id', null],
      [filter.category, WORD.category, 'category_id', null],
      [filter.channel, WORD.channel, 'channel_id', null],
      [filter.verdict, WORD.action, 'action_id', null],
    ];
    for (const [text, kind, column, name] of words) {
      if (text === undefined) continue;
      const id = word.get(kind, text);
      if (id === undefined) return null;
      if (name === null) and(rest, `${column} = ?`, id);
      else seek(name, `${column} = ?`, id);
    }
    // Blocks are few among visits: walk them alone. Being held at the portal is kept as a block.
    if (filter.verdict === 'block' || filter.verdict === 'portal') seek('entries_kind', 'kind = ?', 1);
    if (filter.from !== undefined) and(drive, 'at >= ?', filter.from);
    if (filter.to !== undefined) and(drive, 'at < ?', filter.to);
    if (hosts === null) return { index, drive, rest, few: false };
    const withHosts = { sql: `${rest.sql} AND ${hosts.sql}`, values: [...rest.values, ...hosts.values] };
    // Another index is narrower already; else count whether the hosts are rare enough to sort.
    if (index !== 'entries_at') return { index, drive, rest: withHosts, few: false };
    const byHost = { sql: `${hosts.sql} AND ${drive.sql}`, values: [...hosts.values, ...drive.values] };
    const hits = db
      .prepare(
        `SELECT count(*) FROM (SELECT 1 FROM entries INDEXED BY entries_host WHERE ${byHost.sql} LIMIT ${FEW})`,
      )
      .pluck()
      .get(byHost.values) as number;
    return hits < FEW
      ? { index: 'entries_host', drive: byHost, rest, few: true }
      : { index, drive, rest: withHosts, few: false };
  };

  const sorted = (plan: Plan, start: Place | null, limit: number): { ids: number[]; next: string | null } => {
    const found = select(plan, start, null, limit + 1);
    const page = found.slice(0, limit);
    return { ids: page.map((p) => p.id), next: found.length > limit ? cursorOf(page.at(-1)!) : null };
  };

  const walk = (plan: Plan, start: Place | null, limit: number): { ids: number[]; next: string | null } => {
    const end = clock() + budgetMs;
    const ids: number[] = [];
    let place = start;
    for (;;) {
      const boundary = edge(plan, place);
      const found = select(plan, place, boundary, limit - ids.length + 1);
      if (found.length > limit - ids.length) {
        const page = found.slice(0, limit - ids.length);
        const last = page.at(-1) ?? place!;
        return { ids: [...ids, ...page.map((p) => p.id)], next: cursorOf(last) };
      }
      ids.push(...found.map((p) => p.id));
      if (boundary === null) return { ids, next: null };
      place = boundary;
      if (clock() >= end) return { ids, next: cursorOf(place) };
    }
  };

  /** The last place of the next stretch of the index, or null when less than a stretch is left. */
  const edge = (plan: Plan, after: Place | null): Place | null => {
    const { sql, values } = between(plan.drive, after, null);
    const found = db
      .prepare<unknown[], Place>(
        `SELECT at, id FROM entries INDEXED BY ${plan.index} WHERE ${sql}
         ORDER BY at DESC, id DESC LIMIT 1 OFFSET ${STRETCH - 1}`,
      )
      .get(...values);
    return found ?? null;
  };

  const select = (plan: Plan, after: Place | null, upto: Place | null, most: number): Place[] => {
    const { sql, values } = between(plan.drive, after, upto);
    return db
      .prepare<unknown[], Place>(
        `SELECT at, id FROM entries INDEXED BY ${plan.index} WHERE ${sql} AND ${plan.rest.sql}
         ORDER BY at DESC, id DESC LIMIT ?`,
      )
      .all(...values, ...plan.rest.values, most);
  };

  return db.transaction(run).deferred;
}

type Plan = {
  readonly index: string;
  /** what the index answers */
  readonly drive: Condition;
  readonly rest: Condition;
  /** few enough to sort at once */
  readonly few: boolean;
};

function between(drive: Condition, after: Place | null, upto: Place | null): Condition {
  let { sql } = drive;
  const values = [...drive.values];
  if (after !== null) {
    sql += ' AND at <= ? AND (at, id) < (?, ?)';
    values.push(after.at, after.at, after.id);
  }
  if (upto !== null) {
    sql += ' AND at >= ? AND (at, id) >= (?, ?)';
    values.push(upto.at, upto.at, upto.id);
  }
  return { sql, values };
}

function cursorOf(place: { at: number; id: number }): string {
  return `${place.at.toString(36)}.${place.id.toString(36)}`;
}

/** Throws a RangeError for anything that `cursorOf` did not make. */
function parseCursor(text: string): { at: number; id: number } {
  const [at, id] = /^[0-9a-z]{1,11}\.[0-9a-z]{1,11}$/.test(text)
    ? text.split('.').map((part) => parseInt(part, 36))
    : [];
  if (!Number.isSafeInteger(at) || !Number.isSafeInteger(id)) {
    throw new RangeError('cursor: not one that an earlier page gave as `next`');
  }
  return { at: at!, id: id! };
}
