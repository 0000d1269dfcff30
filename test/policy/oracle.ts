// The order of decisions once more, the plain way: strings, arrays and no tables. Slow and obvious; the engine must
// agree with it. Zone is UTC here, because timetable.test.ts has the clock changes.

import { CIRCUMVENTION } from '../../src/policy/circumvention.ts';
import { SEARCH_ENGINES } from '../../src/policy/search-engines.ts';
import { WEEKDAYS } from '../../src/policy/timetable.ts';
import type { Client, GroupModel, Override, PolicyModel, Rating, Verdict } from '../../src/policy/types.ts';
import { isIP } from 'node:net';
import { parseAddress } from '../../src/policy/networks.ts';
import type { ListSpec } from './fixture.ts';

type Told = Pick<
  Verdict,
  'action' | 'reason' | 'category' | 'list' | 'group' | 'overrideId' | 'target' | 'until'
>;

const ORDER = ['illegal', 'unacceptable', 'permission', 'nominated', 'timed', 'unrated', 'acceptable'];

export function covers(entry: string, host: string): boolean {
  return host === entry || host.endsWith(`.${entry}`);
}

/** Whether `address` lies in `first-last`, both of one family. */
function lies(range: string, address: string): boolean {
  const [first, last, asked] = [...range.split('-'), address].map((text) =>
    parseAddress(text)!
      .words.map((word) => word.toString(16).padStart(8, '0'))
      .join(''),
  ) as [string, string, string];
  return first.length === asked.length && first <= asked && asked <= last;
}

/** The verdict for an address that an answer leads to; null when no list of addresses holds it. */
export function addressOracle(
  ...[model, lists, overrides, address, client, now]: Parameters<typeof oracle>
): Told | null {
  const holds = ({ format, names }: ListSpec): boolean =>
    format === 'ips' && names.some((range) => lies(range, address));
  if (!Object.values(lists).some(holds)) return null;
  // found, not asked for: no group has a word against that
  const groups = Object.fromEntries(
    Object.entries(model.groups).map(([name, group]) => [name, { ...group, directIp: 'allow' as const }]),
  );
  return oracle({ ...model, groups }, lists, overrides, address, client, now);
}

/** What the steps say, and what follows when they allow. */
export function oracle(
  model: PolicyModel,
  lists: Record<string, ListSpec>,
  overrides: readonly Override[],
  host: string,
  client: Client,
  now: number,
): Told {
  const told = steps(model, lists, overrides, host, client, now);
  if (told.action !== 'allow') return told;
  const chain: GroupModel[] = [];
  for (let at: string | undefined = told.group; at !== undefined && model.groups[at] !== undefined;) {
    if (chain.includes(model.groups[at]!)) break;
    chain.push(model.groups[at]!);
    at = chain.at(-1)!.extends;
  }
  const safeSearch = chain.map((g) => g.safeSearch).find((level) => level !== undefined) ?? 'strict';
  const video = chain.map((g) => g.video).find((level) => level !== undefined) ?? 'strict';
  for (const engine of SEARCH_ENGINES)
    for (const name of engine.names) {
      const level = engine.kind === 'video' ? video : safeSearch;
      if (level === 'off') continue;
      if (engine.strict !== null) {
        if (host === name)
          return { ...told, action: 'rewrite', reason: 'safe-search', target: engine[level] };
        continue;
      }
      if (level !== 'strict' || !covers(name, host)) continue;
      // opened only by what names this engine, or a part of it
      const narrow = overrides.map((o) => ({ ...o, names: o.names.filter((n) => covers(name, n)) }));
      const named = steps(model, lists, narrow, host, client, now);
      if (named.reason === 'override') return named;
      const narrowLists = (names: readonly string[]) => names.filter((n) => covers(name, n));
      const bare: PolicyModel = {
        ...model,
        groups: Object.fromEntries(
          Object.entries(model.groups).map(([at, g]) => [
            at,
            { ...g, allow: narrowLists(g.allow), deny: narrowLists(g.deny), default: 'block', ratings: {} },
          ]),
        ),
        allow: narrowLists(model.allow),
        deny: narrowLists(model.deny),
      };
      const local = steps(bare, {}, narrow, host, client, now);
      if (local.reason === 'local-allow') return { ...local, until: soonest(told.until, local.until) };
      return {
        ...told,
        action: 'block',
        reason: 'safe-search',
        category: 'search-unsafe',
        list: null,
        overrideId: null,
        until: soonest(told.until, local.until),
      };
    }
  return told;
}

function soonest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

function steps(
  model: PolicyModel,
  lists: Record<string, ListSpec>,
  overrides: readonly Override[],
  host: string,
  client: Client,
  now: number,
): Told {
  const groupName = client.group in model.groups ? client.group : model.unknown;
  const chain: [string, GroupModel][] = [];
  for (let at: string | undefined = groupName; at !== undefined && !chain.some(([name]) => name === at);) {
    const next: GroupModel | undefined = model.groups[at];
    if (next === undefined) break;
    chain.push([at, next]);
    at = next.extends;
  }
  const said = <K extends keyof GroupModel>(key: K): GroupModel[K] | undefined =>
    chain.map(([, g]) => g[key]).find((value) => value !== undefined);
  const byDefault = said('default') ?? 'block';
  const tell = (action: Told['action'], reason: Told['reason'], more: Partial<Told> = {}): Told => ({
    action,
    reason,
    category: null,
    list: null,
    group: groupName,
    overrideId: null,
    target: null,
    until: null,
    ...more,
  });

  const held = Object.entries(lists).flatMap(([name, list], id) => {
    const holds = (entry: string): boolean =>
      list.format === 'ips' ? isIP(host) !== 0 && lies(entry, host) : covers(entry, host);
    if (!list.names.some(holds)) return [];
    const rating = chain.map(([, g]) => g.ratings[list.category]).find((r) => r !== undefined) ?? null;
    return [
      {
        id,
        name,
        category: list.category,
        sealed: list.sealed === true || list.category === 'illegal',
        rating,
      },
    ];
  });

  // 1
  const illegal = held.find((l) => l.sealed) ?? held.find((l) => l.rating?.kind === 'illegal');
  if (illegal) return tell('block', 'illegal', { category: illegal.category, list: illegal.name });
  // 2
  if (isIP(host) !== 0 && (said('directIp') ?? byDefault) === 'block') return tell('block', 'direct-ip');
  const around = CIRCUMVENTION.filter(({ name }) => covers(name, host));
  if (around.some(({ kind }) => kind === 'canary' || (said('bypass') ?? 'block') === 'block'))
    return tell('block', 'bypass');
  // 3
  const ends = [
    ...chain.map(([, g]) => g.suspended),
    model.clients.find((c) => c.name === client.device)?.suspended,
  ].flatMap((s) => (s === undefined ? [] : [s.until ?? Infinity]));
  const end = Math.max(-Infinity, ...ends);
  if (now < end) return tell('block', 'suspended', { until: end === Infinity ? null : end });
  // 4
  if (said('identity') === 'class' && client.class === null) return tell('portal', 'identity-required');
  // 7
  const mine = overrides.filter(
    (o) =>
      o.names.some((name) => covers(name, host)) &&
      o.from < o.until &&
      (o.scope.users.some((u) => u === client.user) ||
        o.scope.classes.some((c) => c === client.class) ||
        o.scope.groups.some((g) => chain.some(([name]) => name === g))),
  );
  const inForce = mine.filter((o) => o.from <= now && now < o.until).sort((a, b) => b.until - a.until);
  const begins = Math.min(Infinity, ...mine.filter((o) => o.from > now).map((o) => o.from));
  if (inForce[0])
    return tell('allow', 'override', {
      overrideId: inForce[0].id,
      until: Math.min(inForce[0].until, begins),
    });
  const ending = (at: number): number | null => (at === Infinity ? null : at);
  // 8
  for (const { allow, deny } of [...chain.map(([, g]) => g), model]) {
    const longest = (names: readonly string[]): number =>
      Math.max(-1, ...names.filter((n) => covers(n, host)).map((n) => n.length));
    if (longest(allow) < 0 && longest(deny) < 0) continue;
    return longest(deny) >= longest(allow)
      ? tell('block', 'local-deny', { until: ending(begins) })
      : tell('allow', 'local-allow', { until: ending(begins) });
  }
  // 9
  if (held.length > 0) {
    const judged = held.map((l) => ({
      ...l,
      kind: l.rating?.kind ?? ('unrated' as const),
      shut: isShut(model, l.rating, client.user, now),
    }));
    judged.sort(
      (a, b) =>
        Number(b.shut) - Number(a.shut) || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || a.id - b.id,
    );
    const [first] = judged;
    if (first === undefined) throw new Error('unreachable');
    const forGood = judged.some((l) => l.shut && l.kind !== 'timed');
    const edges = judged.flatMap((l) =>
      l.rating?.kind === 'timed' ? l.rating.timetables.map((t) => edgeOf(model, t, now)) : [],
    );
    const until = ending(Math.min(begins, forGood ? Infinity : Math.min(Infinity, ...edges)));
    const more = { category: first.category, list: first.name, until };
    return first.shut ? tell('block', first.kind, more) : tell('allow', 'acceptable', more);
  }
  // 10
  return tell(byDefault, byDefault === 'allow' ? 'default-allow' : 'default-block', {
    until: ending(begins),
  });
}

function isShut(model: PolicyModel, rating: Rating | null, user: string | null, now: number): boolean {
  if (rating === null) return true;
  if (rating.kind === 'timed') return !rating.timetables.some((t) => isOpen(model, t, now));
  if (rating.kind === 'nominated') return user === null || !rating.users.includes(user);
  return rating.kind !== 'acceptable';
}

function isOpen(model: PolicyModel, timetable: string, now: number): boolean {
  const date = new Date(now);
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const today = WEEKDAYS[(date.getUTCDay() + 6) % 7] ?? 'mon';
  return (model.timetables[timetable] ?? []).some(
    (s) => s.days.includes(today) && minute >= s.from && minute < s.to,
  );
}

function edgeOf(model: PolicyModel, timetable: string, now: number): number {
  const before = isOpen(model, timetable, now);
  const minute = Math.floor(now / 60_000);
  for (let m = minute + 1; m <= minute + 7 * 1440; m++)
    if (isOpen(model, timetable, m * 60_000) !== before) return m * 60_000;
  return Infinity;
}
