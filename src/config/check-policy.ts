// What policy.yaml must mean beyond its shape. Groups, timetables and ratings are the policy room's to check;
// here is what depends on how the file is written: clients, networks, and who is unknown.

import { suggest } from './suggest.ts';
import { list, mapping } from './raw.ts';
import { parseMatch, parseName } from './values.ts';
import { checkPolicy } from '../policy/check.ts';
import type { PolicyModel } from '../policy/types.ts';
import type { Finding, KeyPath } from './types.ts';

/** The categories that the configured lists bring. A category whose every list is sealed needs no rating. */
export type Categories = { readonly open: readonly string[]; readonly sealed: readonly string[] };

// following every chain of `extends` takes time that grows fast with their number
const MOST_GROUPS = 200;

/** The mistakes of meaning in policy.yaml. */
export function checkPolicyFile(data: unknown, model: PolicyModel, categories: Categories): Finding[] {
  const groups = Object.keys(model.groups).length;
  if (groups > MOST_GROUPS) {
    return [wrong(['groups'], `has ${groups} groups`, `write at most ${MOST_GROUPS}`, 'key')];
  }
  return [
    ...checkModel(model, categories),
    ...checkNetworks(data),
    ...checkRatings(data),
    ...checkLocalLists(data),
  ];
}

/** What the policy room finds, with a "did you mean" for words that stand for something else in the files. */
function checkModel(model: PolicyModel, categories: Categories): Finding[] {
  const groups = Object.keys(model.groups);
  return checkPolicy(model, categories.open).flatMap(({ path, level, problem, advice }): Finding[] => {
    // without any group every client would complain of the same thing
    if (groups.length === 0 && path[0] === 'clients') return [];
    const last = path.at(-1);
    const isRating = path[2] === 'ratings' && path.length === 4;
    if (isRating && level === 'warning' && categories.sealed.includes(String(last)) && last !== 'illegal') {
      return [doubtful(path, `has no effect: the lists of category ${last} are sealed`, 'remove it', 'key')];
    }
    const unrated = path[2] === 'ratings' && path.length === 3;
    const near = /^(?:there is no|no list has)/.test(problem)
      ? suggest(/(\S+)$/.exec(problem)?.[1] ?? '', knownAt(path, model, categories))
      : null;
    const write = near === null ? advice : `did you mean ${near}?`;
    return [{ path, at: isRating || unrated ? 'key' : 'value', level, problem, advice: write }];
  });
}

function knownAt(path: KeyPath, model: PolicyModel, categories: Categories): readonly string[] {
  if (path.includes('timed')) return Object.keys(model.timetables);
  if (path[2] === 'ratings') return categories.open;
  return Object.keys(model.groups);
}

function wrong(path: KeyPath, problem: string, advice: string, at: 'key' | 'value' = 'value'): Finding {
  return { path, at, level: 'error', problem, advice };
}

function doubtful(path: KeyPath, problem: string, advice: string, at: 'key' | 'value' = 'value'): Finding {
  return { path, at, level: 'warning', problem, advice };
}

/** The same network or client id in two clients: nobody could say which one an address is. */
function checkNetworks(data: unknown): Finding[] {
  const findings: Finding[] = [];
  const first = new Map<string, KeyPath>();
  list(mapping(data)['clients']).forEach((client, at) => {
    list(mapping(client)['match']).forEach((text, index) => {
      const network = typeof text === 'string' ? parseMatch(text) : null;
      if (!network?.ok) return;
      const earlier = first.get(network.value);
      if (earlier === undefined) first.set(network.value, ['clients', at]);
      else {
        const where = earlier[1] === at ? 'this client' : `clients[${earlier[1]}]`;
        findings.push(
          wrong(
            ['clients', at, 'match', index],
            `${network.value} is already in ${where}`,
            'keep one of them',
          ),
        );
      }
    });
  });
  return findings;
}

/** A rating that is a mapping says either when or who, and not both. */
function checkRatings(data: unknown): Finding[] {
  const findings: Finding[] = [];
  for (const [group, said] of Object.entries(mapping(mapping(data)['groups']))) {
    for (const [category, rating] of Object.entries(mapping(mapping(said)['ratings']))) {
      if (typeof rating !== 'object' || rating === null || Array.isArray(rating)) continue;
      const has = Number('timed' in rating) + Number('nominated' in rating);
      const others = Object.keys(rating).some((key) => key !== 'timed' && key !== 'nominated');
      if (has === 1 || (has === 0 && others)) continue;
      findings.push(
        wrong(
          ['groups', group, 'ratings', category],
          has === 0 ? 'says neither when nor who' : 'says both timed and nominated',
          'write { timed: [lunch] } or { nominated: [username] }',
        ),
      );
    }
  }
  return findings;
}

/** A name that the same place both allows and denies: deny wins, which somebody did not mean. */
function checkLocalLists(data: unknown): Finding[] {
  const top = mapping(data);
  const places: [KeyPath, unknown][] = [[[], top]];
  for (const [name, group] of Object.entries(mapping(top['groups']))) places.push([['groups', name], group]);
  return places.flatMap(([path, holder]) => {
    const denied = new Set(list(mapping(holder)['deny']).map(canonical));
    return list(mapping(holder)['allow']).flatMap((text, index) => {
      const name = canonical(text);
      if (name === null || !denied.has(name)) return [];
      return [
        doubtful([...path, 'allow', index], `${name} is in deny as well, and deny wins`, 'keep one of them'),
      ];
    });
  });
}

function canonical(text: unknown): string | null {
  const parsed = typeof text === 'string' ? parseName(text) : null;
  return parsed?.ok ? parsed.value : null;
}
