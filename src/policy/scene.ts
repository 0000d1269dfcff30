// What a decision is made with: a policy, an index and the overrides bound together, so that deciding makes nothing.

import { createMatches } from '../blocklist/lookup.ts';
import type { BlockIndex, Matches } from '../blocklist/types.ts';
import type { CompiledPolicy } from './compile.ts';
import type { CompiledOverrides, OverrideHit } from './overrides.ts';
import { unrated } from './ratings.ts';
import type { EngineHit, KeptRewrites } from './safe-search.ts';
import type { Verdict } from './types.ts';
import type { Facts, KeptVerdicts } from './verdicts.ts';

/** A policy, an index and the overrides, bound together with all that a decision needs and nothing that it must make. */
export type Scene = Facts & {
  overrides: CompiledOverrides;
  readonly sealed: Uint8Array;
  readonly verdicts: KeptVerdicts;
  readonly matches: Matches;
  readonly hit: OverrideHit;
  readonly engine: EngineHit;
  readonly rewrites: KeptRewrites;
};

/** Binds a policy and an index of the same seed; the lists of the index get each group's rating. */
export function createScene(policy: CompiledPolicy, index: BlockIndex, overrides: CompiledOverrides): Scene {
  const ratings = [...policy.groups.values()].map((group) =>
    index.lists.map((list) => group.ratings.get(list.category) ?? unrated(list.category, group.name)),
  );
  // what the category `illegal` holds is sealed whatever the configuration says of the list
  const sealed = Uint8Array.from(index.lists, (list) => (list.sealed || list.category === 'illegal' ? 1 : 0));
  return {
    policy,
    index,
    overrides,
    ratings,
    sealed,
    verdicts: ratings.map(() => new Map<number, Verdict>()),
    matches: createMatches(),
    hit: { at: -1, begins: null },
    engine: { at: -1, suffix: -1 },
    rewrites: new WeakMap(),
  };
}

/** Puts other overrides in force in a scene; verdicts worded from the old ones are forgotten. */
export function setSceneOverrides(scene: Scene, overrides: CompiledOverrides): void {
  scene.overrides = overrides;
  for (const kept of scene.verdicts) kept.clear();
}
