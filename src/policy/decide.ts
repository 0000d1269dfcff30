// The order of decisions. One function walks it for every query; given a trace it also tells each step, so that what is
// explained and what is decided cannot differ. Steps 5 and 6 are kept free for filter-off and lessons.

import { addAddressLists } from '../blocklist/lookup-address.ts';
import { lookup } from '../blocklist/lookup.ts';
import type { NameHashes } from '../blocklist/types.ts';
import { CIRCUMVENTION, type CircumventionName } from './circumvention.ts';
import type { Group } from './groups.ts';
import { findLocalRule } from './local-lists.ts';
import { findOverride } from './overrides.ts';
import { blocks, turnsAt, type CompiledRating } from './ratings.ts';
import type { CompiledPolicy } from './compile.ts';
import { findEngine, rewritten, safeForm } from './safe-search.ts';
import type { Scene } from './scene.ts';
import { SEARCH_ENGINES, type SearchEngine } from './search-engines.ts';
import { findRow } from './suffix-table.ts';
import { createTracer, type Tracer } from './trace.ts';
import type { Client, TraceStep, Verdict } from './types.ts';
import * as cause from './verdicts.ts';

/**
 * The query as the engine hands it over: hashes under the scene's seed, whether it was asked for by address, and the address,
 * if it is one: 4 or 16 bytes.
 */
export type Asked = { readonly hashes: NameHashes; byAddress: boolean; address: Uint8Array | null };

/**
 * Decides a query at `now` (UTC ms). With `host` the steps are told too, into `steps`.
 * Throws when the index contradicts itself; the engine answers that by the group's `fail`.
 */
export function decide(
  scene: Scene,
  asked: Asked,
  client: Client,
  now: number,
  steps: TraceStep[] | null,
  host: string,
): Verdict {
  const group = scene.policy.groups.get(client.group) ?? scene.policy.unknown;
  const tell: Tracer | null = steps === null ? null : createTracer(scene, group, host, now, steps);
  const verdict = decideName(scene, group, asked, client, now, tell);
  return verdict.action === 'allow' ? keepSafe(scene, group, asked, client, now, verdict, tell) : verdict;
}

/** The steps 1 to 10. */
function decideName(
  scene: Scene,
  group: Group,
  asked: Asked,
  client: Client,
  now: number,
  tell: Tracer | null,
): Verdict {
  const { policy, matches, hit } = scene;
  const { hashes } = asked;
  const ratings = scene.ratings[group.index] as readonly CompiledRating[];
  lookup(scene.index, hashes, matches);
  if (asked.address !== null) addAddressLists(scene.index, asked.address, hashes.count - 1, matches);

  const sealed = findSealed(scene, ratings);
  if (sealed >= 0) {
    tell?.sealed(sealed);
    const why = scene.sealed[sealed] === 1 ? cause.SEALED : cause.RATED_ILLEGAL;
    return cause.giveVerdict(scene, group, why, sealed, null);
  }
  tell?.notSealed();

  if (asked.byAddress && group.directIp === 'block') {
    tell?.directIp();
    return cause.giveVerdict(scene, group, cause.DIRECT_IP, 0, null);
  }
  const bypass = findBypass(policy, hashes, group);
  if (bypass >= 0) {
    tell?.bypass(bypass);
    return cause.giveVerdict(scene, group, cause.BYPASS, bypass, null);
  }
  tell?.connectionPassed(asked.byAddress);

  const device = client.device === null ? undefined : policy.clients.byName.get(client.device);
  const groupUntil = group.suspended?.until ?? -Infinity;
  const deviceUntil = device?.suspended?.until ?? -Infinity;
  if (now < groupUntil || now < deviceUntil) {
    const byDevice = deviceUntil > groupUntil;
    tell?.suspended(byDevice ? (device?.suspended ?? null) : group.suspended);
    return byDevice
      ? cause.giveVerdict(scene, group, cause.SUSPENDED_DEVICE, device?.index ?? 0, ending(deviceUntil))
      : cause.giveVerdict(scene, group, cause.SUSPENDED_GROUP, 0, ending(groupUntil));
  }
  tell?.notSuspended();

  if (group.identity === 'class' && client.class === null) {
    tell?.noIdentity();
    return cause.giveVerdict(scene, group, cause.NO_IDENTITY, 0, null);
  }
  tell?.identified(client);

  findOverride(scene.overrides, hashes, client, group.chain, now, hit, 0);
  if (hit.at >= 0) {
    tell?.override(hit.at);
    return byOverride(scene, group);
  }
  // one that begins later will turn whatever is decided below
  const begins = hit.begins;
  tell?.noOverride(begins);

  const rule = findLocalRule(policy.local, hashes, group, 0);
  if (rule >= 0) {
    tell?.local(rule);
    return cause.giveVerdict(scene, group, cause.LOCAL, rule, begins);
  }
  tell?.noLocal();

  if (matches.count > 0) {
    policy.clock.at(now);
    return decideByRatings(scene, group, ratings, client, begins, tell);
  }
  tell?.noCategory();
  tell?.byDefault();
  return cause.giveVerdict(scene, group, cause.DEFAULT, 0, begins);
}

/** The verdict of the override that was hit: it may turn when it ends, and when another begins that ends later. */
function byOverride(scene: Scene, group: Group): Verdict {
  const { at, begins } = scene.hit;
  const until = scene.overrides.items[at]?.until ?? null;
  const turns = begins !== null && until !== null && begins < until ? begins : until;
  return cause.giveVerdict(scene, group, cause.OVERRIDE, at, turns);
}

/** What follows an allow: search engines and video sites in their safe form, or not at all. */
function keepSafe(
  scene: Scene,
  group: Group,
  asked: Asked,
  client: Client,
  now: number,
  allow: Verdict,
  tell: Tracer | null,
): Verdict {
  const { policy, hit, engine: found } = scene;
  findEngine(policy.searchEngines, asked.hashes, found);
  if (found.at < 0) return allow;
  const engine = SEARCH_ENGINES[found.at] as SearchEngine;
  const form = safeForm(engine, group);
  if (form === null) return allow;
  if (form !== 'block') {
    const verdict = rewritten(scene.rewrites, allow, engine, group, form.target);
    tell?.safeForm(verdict);
    return verdict;
  }
  // What was opened by this very name stays open; what opens a whole company was not meant for its search.
  findOverride(scene.overrides, asked.hashes, client, group.chain, now, hit, found.suffix);
  if (hit.at >= 0) {
    tell?.namedOverride(hit.at, engine);
    return byOverride(scene, group);
  }
  const { until } = allow;
  const turns = hit.begins !== null && (until === null || hit.begins < until) ? hit.begins : until;
  const rule = findLocalRule(policy.local, asked.hashes, group, found.suffix);
  if (policy.local.rules[rule]?.deny === false) {
    tell?.namedRule(rule, engine);
    return cause.giveVerdict(scene, group, cause.LOCAL, rule, turns);
  }
  tell?.noSafeForm(engine);
  return cause.giveVerdict(scene, group, cause.NO_SAFE_FORM, found.at, turns);
}

/** Step 1: a list that is sealed, or one whose category the group rates illegal; -1 when neither holds the name. */
function findSealed(scene: Scene, ratings: readonly CompiledRating[]): number {
  const { matches, sealed } = scene;
  let found = -1;
  for (let i = 0; i < matches.count; i++) {
    const list = matches.lists[i] as number;
    const rating = ratings[list];
    // an index that names a list it does not have cannot be trusted with an allow
    if (rating === undefined) throw new Error(`the index names list ${list} but has ${ratings.length} lists`);
    const isSealed = sealed[list] === 1;
    if (!isSealed && rating.kind !== 'illegal') continue;
    const first = found < 0 || (isSealed === (sealed[found] === 1) ? list < found : isSealed);
    if (first) found = list;
  }
  return found;
}

/** Step 2: the place of the longest circumvention name that is closed to the group, or -1. */
function findBypass(policy: CompiledPolicy, hashes: NameHashes, group: Group): number {
  const table = policy.circumvention;
  for (let suffix = hashes.count - 1; suffix >= 0; suffix--) {
    const row = findRow(table, hashes, suffix);
    if (row < 0) continue;
    const at = table.values[table.rowStart[row] as number] as number;
    const name = CIRCUMVENTION[at] as CircumventionName;
    if (name.kind === 'canary' || group.bypass === 'block') return at;
  }
  return -1;
}

/** Step 9: any rating that blocks blocks. Shown is the first in the order of reasons, and of equals the list named first. */
function decideByRatings(
  scene: Scene,
  group: Group,
  ratings: readonly CompiledRating[],
  client: Client,
  begins: number | null,
  tell: Tracer | null,
): Verdict {
  const { matches } = scene;
  const { clock } = scene.policy;
  let blocking = -1;
  let open = -1;
  let turns = Infinity;
  let forGood = false;
  for (let i = 0; i < matches.count; i++) {
    const list = matches.lists[i] as number;
    const rating = ratings[list] as CompiledRating;
    if (rating.kind === 'timed') turns = Math.min(turns, turnsAt(rating, clock));
    if (!blocks(rating, client.user, clock)) {
      if (open < 0 || comesFirst(ratings, list, open)) open = list;
      continue;
    }
    if (rating.kind !== 'timed') forGood = true;
    if (blocking < 0 || comesFirst(ratings, list, blocking)) blocking = list;
  }
  // a timetable turns nothing while another rating blocks at all times
  if (forGood) turns = Infinity;
  const until = begins !== null && begins < turns ? begins : ending(turns);
  tell?.categories(client, blocking);
  return blocking >= 0
    ? cause.giveVerdict(scene, group, cause.RATING_BLOCKS, blocking, until)
    : cause.giveVerdict(scene, group, cause.RATING_OPEN, open, until);
}

function comesFirst(ratings: readonly CompiledRating[], list: number, than: number): boolean {
  const a = (ratings[list] as CompiledRating).rank;
  const b = (ratings[than] as CompiledRating).rank;
  return a < b || (a === b && list < than);
}

/** A time as a verdict holds it; null, which is no number, also keeps the common case off the heap. */
function ending(at: number): number | null {
  return at === Infinity ? null : at;
}
