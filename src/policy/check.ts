// What is wrong or doubtful about a policy's meaning: groups, timetables, ratings, and who would never get in. Its shape,
// names and networks are checked where the file is read.

import { CIRCUMVENTION } from './circumvention.ts';
import { followExtends } from './groups.ts';
import { localName } from './suffix-table.ts';
import { isTimeZone } from './timetable.ts';
import type { GroupModel, PolicyModel, Rating } from './types.ts';

/** `path` follows policy.yaml, as in `['groups', 'ks1', 'extends']`, so that line and column can be found. */
export type PolicyProblem = {
  readonly path: (string | number)[];
  readonly level: 'error' | 'warning';
  readonly problem: string;
  /** what to write instead */
  readonly advice: string;
};

/** Checks a policy against itself and against the `categories` of the configured lists. An empty result is a good policy. */
export function checkPolicy(model: PolicyModel, categories: readonly string[]): PolicyProblem[] {
  const groups = new Map(Object.entries(model.groups));
  return [
    ...checkSchool(model, groups),
    ...checkTimetables(model),
    ...[...groups].flatMap(([name, group]) => [
      ...checkExtends(groups, name, group),
      ...checkRatings(model, groups, name, categories),
      ...checkLocal(groups, name, group),
    ]),
    ...checkClients(model, groups),
  ];
}

type Groups = ReadonlyMap<string, GroupModel>;

function wrong(path: (string | number)[], problem: string, advice: string): PolicyProblem {
  return { path, level: 'error', problem, advice };
}

function doubtful(path: (string | number)[], problem: string, advice: string): PolicyProblem {
  return { path, level: 'warning', problem, advice };
}

function oneOf(names: Iterable<string>): string {
  return `write one of: ${[...names].join(', ')}`;
}

function checkSchool(model: PolicyModel, groups: Groups): PolicyProblem[] {
  const found: PolicyProblem[] = [];
  if (!isTimeZone(model.timezone))
    found.push(
      wrong(['timezone'], `${model.timezone} is not a time zone`, 'write one such as Europe/London'),
    );
  if (groups.size === 0) found.push(wrong(['groups'], 'there are no groups', 'declare at least one group'));
  else if (!groups.has(model.unknown))
    found.push(wrong(['unknown'], `there is no group ${model.unknown}`, oneOf(groups.keys())));
  else if (said(groups, model.unknown, 'default') === 'allow')
    found.push(
      doubtful(
        ['unknown'],
        `${model.unknown} allows names that no list knows, and every unregistered device gets it`,
        'name the strictest group',
      ),
    );
  if (said(groups, model.unknown, 'safeSearch') === 'off')
    found.push(
      doubtful(
        ['unknown'],
        `${model.unknown} has safe search off, and every unregistered device gets it`,
        'name the strictest group',
      ),
    );
  return found;
}

function checkTimetables(model: PolicyModel): PolicyProblem[] {
  return Object.entries(model.timetables).flatMap(([name, slots]) => {
    const path = ['timetables', name];
    if (slots.length === 0)
      return [doubtful(path, 'has no times, so it is never open', 'add a slot or remove it')];
    return slots.flatMap((slot, at) => {
      const found: PolicyProblem[] = [];
      if (slot.days.length === 0)
        found.push(wrong([...path, at, 'days'], 'names no day', 'write days such as [mon, tue]'));
      for (const key of ['from', 'to'] as const)
        if (!Number.isInteger(slot[key]) || slot[key] < 0 || slot[key] > (key === 'to' ? 1440 : 1439))
          found.push(wrong([...path, at, key], 'is not a time of day', 'write a time such as "12:30"'));
      return found;
    });
  });
}

function checkExtends(groups: Groups, name: string, group: GroupModel): PolicyProblem[] {
  const path = ['groups', name, 'extends'];
  if (group.extends === undefined) return [];
  if (!groups.has(group.extends)) {
    const others = [...groups.keys()].filter((other) => other !== name);
    const advice = others.length === 0 ? 'remove this line' : oneOf(others);
    return [wrong(path, `there is no group ${group.extends}`, advice)];
  }
  const chain = followExtends(groups, name);
  const beyond = groups.get(chain.at(-1) ?? name)?.extends;
  if (beyond !== name) return [];
  return [
    wrong(path, `goes in a circle: ${[...chain, name].join(' extends ')}`, 'let one of them extend nothing'),
  ];
}

function checkRatings(
  model: PolicyModel,
  groups: Groups,
  name: string,
  categories: readonly string[],
): PolicyProblem[] {
  const known = new Set(categories);
  const chain = followExtends(groups, name);
  const found: PolicyProblem[] = [];
  for (const [category, rating] of Object.entries(groups.get(name)?.ratings ?? {})) {
    const path = ['groups', name, 'ratings', category];
    if (category === 'illegal' && rating.kind !== 'illegal')
      found.push(doubtful(path, 'has no effect: illegal lists are sealed for every group', 'remove it'));
    else if (!known.has(category))
      found.push(doubtful(path, `no list has the category ${category}`, `${oneOf(known)}; or add a list`));
    const parent = chain.slice(1).find((other) => groups.get(other)?.ratings[category] !== undefined);
    if (
      parent !== undefined &&
      groups.get(parent)?.ratings[category]?.kind === 'illegal' &&
      rating.kind !== 'illegal'
    )
      found.push(
        doubtful(path, `loosens what ${parent} calls illegal`, `remove it, or change it in ${parent}`),
      );
    found.push(...checkRating(model, path, rating));
  }
  const rated = new Set(chain.flatMap((other) => Object.keys(groups.get(other)?.ratings ?? {})));
  const missing = [...known].filter((category) => category !== 'illegal' && !rated.has(category)).sort();
  // a group that only others extend may leave its children to rate
  const isParent = [...groups.values()].some((other) => other.extends === name);
  const isUsed = model.unknown === name || model.clients.some((client) => client.group === name);
  if (missing.length > 0 && (isUsed || !isParent))
    found.push(
      doubtful(
        ['groups', name, 'ratings'],
        `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not rated, so names in ${missing.length === 1 ? 'it' : 'them'} are blocked`,
        'rate each one, as in games: unacceptable',
      ),
    );
  return found;
}

function checkRating(model: PolicyModel, path: (string | number)[], rating: Rating): PolicyProblem[] {
  if (rating.kind === 'nominated')
    return rating.users.length > 0
      ? []
      : [doubtful(path, 'nominates nobody, so it always blocks', 'name a user')];
  if (rating.kind !== 'timed') return [];
  if (rating.timetables.length === 0)
    return [doubtful(path, 'names no timetable, so it always blocks', 'name a timetable')];
  const names = Object.keys(model.timetables);
  return rating.timetables.flatMap((timetable, at) =>
    names.includes(timetable)
      ? []
      : [
          wrong(
            [...path, 'timed', at],
            `there is no timetable ${timetable}`,
            names.length > 0 ? oneOf(names) : `declare ${timetable} under timetables`,
          ),
        ],
  );
}

/** A local allow of a name that step 2 closes does nothing. */
function checkLocal(groups: Groups, name: string, group: GroupModel): PolicyProblem[] {
  return group.allow.flatMap((text, at) => {
    const path = ['groups', name, 'allow', at];
    const entry = localName(text);
    const bypass = CIRCUMVENTION.find((known) => entry === known.name || entry?.endsWith(`.${known.name}`));
    if (bypass === undefined) return [];
    if (bypass.kind === 'canary')
      return [doubtful(path, `${text} is blocked for every group, whatever is allowed`, 'remove it')];
    if (said(groups, name, 'bypass') === 'allow') return [];
    return [
      doubtful(path, `${text} gets round the filter and stays blocked`, 'remove it, or write bypass: allow'),
    ];
  });
}

function checkClients(model: PolicyModel, groups: Groups): PolicyProblem[] {
  return model.clients.flatMap((client, at) => {
    if (!groups.has(client.group))
      return [wrong(['clients', at, 'group'], `there is no group ${client.group}`, oneOf(groups.keys()))];
    if (said(groups, client.group, 'identity') === 'class' && client.class === undefined)
      return [
        doubtful(
          ['clients', at],
          `${client.group} needs to know the class and ${client.name} has none, so only the portal is open`,
          'add class: NAME',
        ),
      ];
    return [];
  });
}

/** What the group or the nearest parent says. */
function said<K extends 'default' | 'identity' | 'bypass' | 'safeSearch'>(
  groups: Groups,
  name: string,
  key: K,
): GroupModel[K] {
  const speaks = followExtends(groups, name).find((other) => groups.get(other)?.[key] !== undefined);
  return speaks === undefined ? undefined : groups.get(speaks)?.[key];
}
