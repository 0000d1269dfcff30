// Asks the engine in every way there is and gives the one verdict; with the lists that the tests of the steps share.

import { expect } from 'vitest';
import type { BlockIndex } from '../../src/blocklist/types.ts';
import type { Channel, Client, GroupModel, Override, PolicyModel, Verdict } from '../../src/policy/types.ts';
import { buildIndex, client, engineWith, group, NOW, policy, wire, WIRE_AT } from './fixture.ts';

/** What the lists of these tests hold. */
export const index = buildIndex({
  'bad-things': { category: 'illegal', names: ['sealed.test'], sealed: true },
  'starter-games': { category: 'games', names: ['games.test', 'both.test'] },
  'more-games': { category: 'games', names: ['arcade.games.test'] },
  'starter-shops': { category: 'shopping', names: ['shop.test', 'both.test'] },
  odd: { category: 'odd', names: ['odd.test', 'shop.test.odd.test'] },
});

/** Decides by name and by wire, which must agree, and gives the verdict. */
export function ask(
  model: PolicyModel,
  host: string,
  options: {
    who?: Partial<Client>;
    overrides?: Override[];
    now?: number;
    index?: BlockIndex;
    channel?: Channel;
  } = {},
): Verdict {
  const engine = engineWith(model, options.index ?? index, options.overrides);
  const who = client({ group: Object.keys(model.groups)[0] ?? '', ...options.who });
  const now = options.now ?? NOW;
  const verdict = engine.decideHost(host, who, now, options.channel ?? 'http');
  if (!/^[\d.]+$|:/.test(host)) {
    expect(engine.decideWire(wire(host), WIRE_AT, who, now)).toEqual(verdict);
    expect(engine.decideWire(wire(host.toUpperCase()), WIRE_AT, who, now)).toEqual(verdict);
  }
  expect(engine.explain(host, who, now, 'http').verdict).toEqual(verdict);
  return verdict;
}

/** A policy of one group `g` beside the unknown group `strict`. */
export const one = (over: Partial<GroupModel>, more: Partial<PolicyModel> = {}): PolicyModel =>
  policy({
    groups: { g: group({ default: 'allow', ...over }), strict: group({ default: 'block' }) },
    ...more,
  });
