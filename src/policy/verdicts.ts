// The verdicts themselves: one object per group and cause, made once and given again, so that a decision allocates
// nothing. Only `until` can make a kept verdict stale.

import type { BlockIndex, ListInfo } from '../blocklist/types.ts';
import { CIRCUMVENTION } from './circumvention.ts';
import type { CompiledPolicy } from './compile.ts';
import type { Group, SuspensionFact } from './groups.ts';
import type { CompiledOverrides } from './overrides.ts';
import { ratingOf, type CompiledRating } from './ratings.ts';
import { ruleOf } from './safe-search.ts';
import { SEARCH_ENGINES, type SearchEngine } from './search-engines.ts';
import type { Action, Client, Reason, Verdict } from './types.ts';

/**
 * What decided; the number with it is a list, a rule, an override, a client entry, a circumvention name or an
 * engine.
 */
export type Cause =
  | typeof SEALED
  | typeof RATED_ILLEGAL
  | typeof DIRECT_IP
  | typeof BYPASS
  | typeof SUSPENDED_GROUP
  | typeof SUSPENDED_DEVICE
  | typeof NO_IDENTITY
  | typeof OVERRIDE
  | typeof LOCAL
  | typeof RATING_BLOCKS
  | typeof RATING_OPEN
  | typeof DEFAULT
  | typeof NO_SAFE_FORM;
export const SEALED = 0;
export const RATED_ILLEGAL = 1;
export const DIRECT_IP = 2;
export const BYPASS = 3;
export const SUSPENDED_GROUP = 4;
export const SUSPENDED_DEVICE = 5;
export const NO_IDENTITY = 6;
export const OVERRIDE = 7;
export const LOCAL = 8;
export const RATING_BLOCKS = 9;
export const RATING_OPEN = 10;
export const DEFAULT = 11;
export const NO_SAFE_FORM = 12;

/** Ids stay below this, so that cause and id make one small number. */
const ID_LIMIT = 2 ** 24;

/** What verdicts are worded from. `ratings` goes by group index, then list id. */
export type Facts = {
  readonly policy: CompiledPolicy;
  readonly index: BlockIndex;
  readonly overrides: CompiledOverrides;
  readonly ratings: readonly (readonly CompiledRating[])[];
};

/** Verdicts already made, by group index, then by cause and id. */
export type KeptVerdicts = readonly Map<number, Verdict>[];

/** The verdict of a cause for a group, kept or made; `until` is UTC ms, null when only a change can turn it. */
export function giveVerdict(
  facts: Facts & { readonly verdicts: KeptVerdicts },
  group: Group,
  cause: Cause,
  id: number,
  until: number | null,
): Verdict {
  const kept = facts.verdicts[group.index] as Map<number, Verdict>;
  const key = cause * ID_LIMIT + id;
  const held = kept.get(key);
  if (held !== undefined && held.until === until) return held;
  const verdict = makeVerdict(facts, group, cause, id, until);
  kept.set(key, verdict);
  return verdict;
}

/** A block or portal that no list, rule or rating stands behind: nothing is loaded, the name is malformed, an error. */
export function bareVerdict(client: Client, reason: Reason, rule: string): Verdict {
  return {
    action: 'block',
    reason,
    category: null,
    rating: null,
    rule,
    list: null,
    group: client.group,
    overrideId: null,
    target: null,
    until: null,
  };
}

function makeVerdict(facts: Facts, group: Group, cause: Cause, id: number, until: number | null): Verdict {
  const verdict = (action: Action, reason: Reason, rule: string, more: Partial<Verdict> = {}): Verdict => ({
    action,
    reason,
    category: more.category ?? null,
    rating: more.rating ?? null,
    rule,
    list: more.list ?? null,
    group: group.name,
    overrideId: more.overrideId ?? null,
    target: more.target ?? null,
    until,
  });
  const rated = (): { rating: CompiledRating; list: ListInfo } => ({
    rating: facts.ratings[group.index]?.[id] as CompiledRating,
    list: facts.index.lists[id] as ListInfo,
  });
  switch (cause) {
    case SEALED: {
      const { list } = rated();
      const more = { category: list.category, rating: 'illegal', list: list.name } as const;
      return verdict('block', 'illegal', `sealed list ${list.name}`, more);
    }
    case DIRECT_IP:
      return verdict('block', 'direct-ip', `sites are asked for by name, not by address (${group.name})`);
    case BYPASS:
      return verdict('block', 'bypass', `${CIRCUMVENTION[id]?.name ?? ''} gets round the filter`);
    case SUSPENDED_GROUP:
      return verdict('block', 'suspended', suspensionText(group.suspended));
    case SUSPENDED_DEVICE:
      return verdict(
        'block',
        'suspended',
        suspensionText(facts.policy.clients.entries[id]?.suspended ?? null),
      );
    case NO_IDENTITY:
      return verdict('portal', 'identity-required', `${group.name} needs to know the class`);
    case OVERRIDE: {
      const overrideId = facts.overrides.items[id]?.id ?? '';
      return verdict('allow', 'override', `override ${overrideId}`, { overrideId });
    }
    case LOCAL: {
      const rule = facts.policy.local.rules[id];
      if (rule === undefined) throw new Error(`there is no local rule ${id}`);
      const text = `${rule.deny ? 'deny' : 'allow'} ${rule.name} (${rule.scopeName})`;
      return rule.deny ? verdict('block', 'local-deny', text) : verdict('allow', 'local-allow', text);
    }
    case RATED_ILLEGAL:
    case RATING_BLOCKS:
    case RATING_OPEN: {
      const { rating, list } = rated();
      const more = { category: rating.category, rating: ratingOf(rating.kind), list: list.name };
      const open = cause === RATING_OPEN;
      return verdict(open ? 'allow' : 'block', open ? 'acceptable' : rating.kind, ratingText(rating), more);
    }
    case NO_SAFE_FORM: {
      const engine = SEARCH_ENGINES[id] as SearchEngine;
      return verdict('block', 'safe-search', ruleOf(engine, group), { category: 'search-unsafe' });
    }
    case DEFAULT:
      return group.default === 'allow'
        ? verdict('allow', 'default-allow', `names that no list knows are allowed (${group.name})`)
        : verdict('block', 'default-block', `names that no list knows are blocked (${group.name})`);
  }
}

/** `social-media is timed (staff)`: the rating and the group that says it. */
export function ratingText(rating: CompiledRating): string {
  if (rating.kind === 'unrated') return `${rating.category} is not rated (${rating.from})`;
  return `${rating.category} is ${rating.kind} (${rating.from})`;
}

function suspensionText(fact: SuspensionFact | null): string {
  return fact === null ? 'suspended' : `${fact.of} is suspended: ${fact.reason}`;
}
