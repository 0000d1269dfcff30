// Groups with `extends` followed: what a group says itself, what its parents say, and what holds when nobody says anything.
// A parent that does not exist or a circle ends the chain there; the check of the policy reports both.

import { compileRating, type CompiledRating } from './ratings.ts';
import type { GroupModel, PolicyModel, SafeLevel, Traits } from './types.ts';

/** A suspension in force until `until` (UTC ms, Infinity: until someone ends it); `of` says whose it is. */
export type SuspensionFact = { readonly until: number; readonly reason: string; readonly of: string };

export type Group = {
  readonly name: string;
  readonly label: string;
  /** place among the groups; the `unknown` group of a policy without one comes last */
  readonly index: number;
  /** the group itself, its parent, and so on; names */
  readonly chain: readonly string[];
  readonly identity: 'network' | 'class';
  readonly default: 'allow' | 'block';
  readonly fail: 'closed' | 'last-good';
  readonly directIp: 'allow' | 'block';
  readonly bypass: 'allow' | 'block';
  readonly safeSearch: SafeLevel;
  readonly video: SafeLevel;
  readonly traits: Traits;
  readonly ratings: ReadonlyMap<string, CompiledRating>;
  /** the suspension of the chain that ends last */
  readonly suspended: SuspensionFact | null;
  /** how near a scope of local lists is to this group: by group index, the school last; FAR when it is not ours */
  readonly nearness: Uint16Array;
};

/** `nearness` of a group that this one does not extend. */
export const FAR = 0xffff;

/** Settings of which the nearest group of the chain that says something is heard. */
type Inherited =
  'identity' | 'default' | 'fail' | 'directIp' | 'bypass' | 'safeSearch' | 'video' | 'httpsRecords';

/** What a group is when the policy has no such group: the strictest there is. */
const STRICTEST: GroupModel = { label: 'Unregistered', ratings: {}, allow: [], deny: [], default: 'block' };

/** All groups by name, `policy.unknown` among them even when it is not declared. */
export function compileGroups(
  model: PolicyModel,
  timetables: ReadonlyMap<string, number>,
): ReadonlyMap<string, Group> {
  const models = new Map(Object.entries(model.groups));
  if (!models.has(model.unknown)) models.set(model.unknown, STRICTEST);
  const indexes = new Map([...models.keys()].map((name, index) => [name, index]));
  const groups = new Map<string, Group>();
  for (const [name, index] of indexes) {
    const chain = followExtends(models, name);
    groups.set(name, compileGroup({ name, index, chain, models, indexes, timetables }));
  }
  return groups;
}

/** The group and its parents, nearest first; ends at an unknown parent or where it would go in a circle. */
export function followExtends(groups: ReadonlyMap<string, GroupModel>, name: string): string[] {
  const chain: string[] = [];
  let next: string | undefined = name;
  while (next !== undefined && groups.has(next) && !chain.includes(next)) {
    chain.push(next);
    next = groups.get(next)?.extends;
  }
  return chain;
}

function compileGroup(from: {
  name: string;
  index: number;
  chain: readonly string[];
  models: ReadonlyMap<string, GroupModel>;
  indexes: ReadonlyMap<string, number>;
  timetables: ReadonlyMap<string, number>;
}): Group {
  const own = from.chain.map((name): [string, GroupModel] => [name, from.models.get(name) ?? STRICTEST]);
  const said = <K extends Inherited>(key: K): GroupModel[K] =>
    own.map(([, group]) => group[key]).find((value) => value !== undefined);
  const ratings = new Map<string, CompiledRating>();
  let suspended: SuspensionFact | null = null;
  const nearness = new Uint16Array(from.models.size + 1).fill(FAR);
  nearness[from.models.size] = own.length;
  for (const [depth, [name, group]] of own.entries()) {
    nearness[from.indexes.get(name) ?? 0] = depth;
    for (const [category, rating] of Object.entries(group.ratings))
      if (!ratings.has(category))
        ratings.set(category, compileRating(category, rating, name, from.timetables));
    if (group.suspended !== undefined) {
      const until = group.suspended.until ?? Infinity;
      if (suspended === null || until > suspended.until)
        suspended = { until, reason: group.suspended.reason, of: `group ${name}` };
    }
  }
  const byDefault = said('default') ?? 'block';
  return {
    name: from.name,
    label: own[0]?.[1].label ?? from.name,
    index: from.index,
    chain: from.chain,
    identity: said('identity') ?? 'network',
    default: byDefault,
    fail: said('fail') ?? 'closed',
    directIp: said('directIp') ?? byDefault,
    bypass: said('bypass') ?? 'block',
    safeSearch: said('safeSearch') ?? 'strict',
    video: said('video') ?? 'strict',
    traits: { serviceRecords: said('httpsRecords') ?? 'strip' },
    ratings,
    suspended,
    nearness,
  };
}
