// From a policy as plain data to the tables a decision is made with. A wrong part is never refused here but read the
// strict way; telling a person is the work of check.ts.

import type { Seed } from '../blocklist/types.ts';
import { compileCircumvention } from './circumvention.ts';
import { compileClients, type ClientTable } from './clients.ts';
import { compileGroups, type Group } from './groups.ts';
import { compileLocalLists, type LocalLists } from './local-lists.ts';
import { compileSearchEngines } from './safe-search.ts';
import type { SuffixTable } from './suffix-table.ts';
import { createTimetableClock, type TimetableClock } from './timetable.ts';
import type { PolicyModel } from './types.ts';

export type CompiledPolicy = {
  readonly model: PolicyModel;
  /** the secret of the hashes in its tables; the same as the index's */
  readonly seed: Seed;
  readonly groups: ReadonlyMap<string, Group>;
  /** the group of clients that no entry matches, and of groups that the policy does not have */
  readonly unknown: Group;
  readonly clients: ClientTable;
  readonly clock: TimetableClock;
  readonly local: LocalLists;
  readonly circumvention: SuffixTable;
  readonly searchEngines: SuffixTable;
};

/** Throws RangeError when the time zone is not known here. */
export function compilePolicy(model: PolicyModel, seed: Seed): CompiledPolicy {
  const clock = createTimetableClock(model.timezone, model.timetables);
  const groups = compileGroups(model, new Map(clock.names.map((name, at) => [name, at])));
  return {
    model,
    seed,
    groups,
    unknown: groups.get(model.unknown) as Group,
    clients: compileClients(model),
    clock,
    local: compileLocalLists(model, groups, seed),
    circumvention: compileCircumvention(seed),
    searchEngines: compileSearchEngines(seed),
  };
}
