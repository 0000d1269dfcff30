// What follows an allow: a search engine or video site is answered in its safe form, and an engine without one is blocked
// for groups that are strict. Nothing here opens what was blocked.

import type { NameHashes, Seed } from '../blocklist/types.ts';
import type { Group } from './groups.ts';
import { SEARCH_ENGINES, type SearchEngine } from './search-engines.ts';
import { createSuffixTable, findRow, type SuffixTable } from './suffix-table.ts';
import type { Verdict } from './types.ts';

/** An engine's name; `exact` covers itself alone, the others all below them as well. */
type EngineName = { readonly engine: SearchEngine; readonly at: number; readonly exact: boolean };

const NAMES: readonly (EngineName & { readonly name: string })[] = SEARCH_ENGINES.flatMap((engine, at) =>
  engine.names.map((name) => ({ name, engine, at, exact: engine.strict !== null })),
);

/** What a search found, reused: the engine's place or -1, and the place of the suffix that names it. */
export type EngineHit = { at: number; suffix: number };

/** The table over the names of `SEARCH_ENGINES`; a value is the place among all names. */
export function compileSearchEngines(seed: Seed): SuffixTable {
  return createSuffixTable(
    seed,
    NAMES.map(({ name }, value) => ({ name, value })),
  );
}

/** Finds the engine that the name belongs to, of any kind. No engine is named by one label. */
export function findEngine(table: SuffixTable, hashes: NameHashes, hit: EngineHit): void {
  hit.at = -1;
  const whole = hashes.count - 1;
  for (let suffix = whole; suffix >= 1; suffix--) {
    const row = findRow(table, hashes, suffix);
    if (row < 0) continue;
    const { at, exact } = NAMES[table.values[table.rowStart[row] as number] as number] as EngineName;
    if (exact && suffix !== whole) continue;
    hit.at = at;
    hit.suffix = suffix;
    return;
  }
}

/** What the group is held to with this engine: the name to answer with, `block`, or null when nothing is changed. */
export function safeForm(engine: SearchEngine, group: Group): { target: string } | 'block' | null {
  const level = engine.kind === 'video' ? group.video : group.safeSearch;
  if (level === 'off') return null;
  const target = engine[level];
  if (target !== null) return { target };
  return level === 'strict' ? 'block' : null;
}

/** Rewrites already worded, by the allow they follow; they go when it goes. */
export type KeptRewrites = WeakMap<Verdict, Map<SearchEngine, Verdict>>;

/** The allow with the engine's safe form in it: whose rating, list or override opened the name stays to be seen. */
export function rewritten(
  kept: KeptRewrites,
  allow: Verdict,
  engine: SearchEngine,
  group: Group,
  target: string,
): Verdict {
  let forms = kept.get(allow);
  if (forms === undefined) {
    forms = new Map();
    kept.set(allow, forms);
  }
  let verdict = forms.get(engine);
  if (verdict === undefined) {
    verdict = { ...allow, action: 'rewrite', reason: 'safe-search', rule: ruleOf(engine, group), target };
    forms.set(engine, verdict);
  }
  return verdict;
}

/** `Google is held to safe search (ks2)` */
export function ruleOf(engine: SearchEngine, group: Group): string {
  if (engine.strict === null)
    return `${engine.title} has no safe search that can be relied on (${group.name})`;
  return engine.kind === 'video'
    ? `${engine.title} is held to restricted video, ${group.video} (${group.name})`
    : `${engine.title} is held to safe search (${group.name})`;
}
