// The steps of one decision in plain words. It is told what decide() found and only words it: it decides nothing.

import { suffixName } from '../blocklist/names.ts';
import { CIRCUMVENTION } from './circumvention.ts';
import type { Group, SuspensionFact } from './groups.ts';
import { blocks, type CompiledRating } from './ratings.ts';
import type { Scene } from './scene.ts';
import type { SearchEngine } from './search-engines.ts';
import type { Client, TraceStep, Verdict } from './types.ts';
import { ratingText } from './verdicts.ts';

const TITLES: Readonly<Record<number, string>> = {
  1: 'Sealed lists',
  2: 'Connection',
  3: 'Suspension',
  4: 'Identity',
  7: 'Overrides',
  8: 'Local lists',
  9: 'Categories',
  10: 'Default',
  11: 'Safe search',
};

export type Tracer = ReturnType<typeof createTracer>;

/** Adds to `steps` as decide() goes along. `host` is the canonical name or address asked for. */
export function createTracer(scene: Scene, group: Group, host: string, now: number, steps: TraceStep[]) {
  const { policy, index, matches } = scene;
  const ratings = scene.ratings[group.index] ?? [];
  const note = (step: number, outcome: TraceStep['outcome'], detail: string): void => {
    steps.push({ step, title: TITLES[step] ?? '', outcome, detail });
  };
  const passed = (step: number, detail: string): void => note(step, 'passed', detail);
  const decided = (step: number, detail: string): void => note(step, 'decided', detail);
  const time = (at: number): string => localTime(at, policy.model.timezone);

  /** What follows an allow decides in its place. */
  const follows = (detail: string): void => {
    const allow = steps.pop();
    if (allow !== undefined) steps.push({ ...allow, outcome: 'passed' });
    decided(11, detail);
  };

  /** `bet365.com is in starter-gambling (gambling)` for the place in the matches */
  const entry = (at: number): string => {
    const list = index.lists[matches.lists[at] ?? 0];
    return `${suffixName(host, matches.suffix[at] ?? 0)} is in ${list?.name} (${list?.category})`;
  };
  const entryOf = (list: number): string => entry(matches.lists.subarray(0, matches.count).indexOf(list));
  const state = (rating: CompiledRating, client: Client): string => {
    const shut = blocks(rating, client.user, policy.clock);
    switch (rating.kind) {
      case 'timed': {
        const names = rating.timetables.map((t) => policy.clock.names[t]).join(', ') || 'no timetable';
        return `${ratingText(rating)}: ${names} ${shut ? 'is closed' : 'is open'} at ${time(now)}`;
      }
      case 'nominated':
        return `${ratingText(rating)}: ${client.user ?? 'a client without a user'} is ${shut ? 'not ' : ''}among them`;
      case 'permission':
        return `${ratingText(rating)}: nobody has opened it for this client`;
      case 'unrated':
        return `${rating.category} is not rated by ${rating.from}, so it is blocked`;
      default:
        return ratingText(rating);
    }
  };

  return {
    notSealed: () =>
      passed(
        1,
        matches.count === 0
          ? `No list holds ${host}.`
          : `No sealed list holds ${host}, and ${group.name} rates none of its categories illegal.`,
      ),
    sealed: (list: number) =>
      decided(
        1,
        scene.sealed[list] === 1
          ? `${entryOf(list)}, which is sealed. Nothing can lift it.`
          : `${entryOf(list)}: ${ratingText(ratings[list] as CompiledRating)}. Nothing below can lift it.`,
      ),
    directIp: () => decided(2, `${host} is an address. ${group.name} may ask for sites by name only.`),
    bypass: (at: number) =>
      decided(
        2,
        CIRCUMVENTION[at]?.kind === 'canary'
          ? `${CIRCUMVENTION[at].name} tells software to leave its own resolver or relay off. It is blocked for every group.`
          : `${CIRCUMVENTION[at]?.name} is a ${CIRCUMVENTION[at]?.kind === 'cover' ? 'name over other names' : CIRCUMVENTION[at]?.kind} that gets round the filter, and ${group.name} may not use it.`,
      ),
    connectionPassed: (byAddress: boolean) =>
      passed(
        2,
        byAddress
          ? `${host} is an address, which ${group.name} may ask for.`
          : `${host} is a name and gets round nothing that is closed to ${group.name}.`,
      ),
    suspended: (fact: SuspensionFact | null) =>
      decided(3, `${fact?.of} is suspended ${until(fact?.until ?? Infinity, time)}: ${fact?.reason}`),
    notSuspended: () => passed(3, `Neither ${group.name} nor the device is suspended.`),
    noIdentity: () =>
      decided(4, `${group.name} needs to know the class, and this client has none. Only the portal is open.`),
    identified: (client: Client) =>
      passed(
        4,
        group.identity === 'network'
          ? `${group.name} does not ask who it is.`
          : `${group.name} needs to know the class: ${client.class === '' ? 'any' : client.class}.`,
      ),
    override: (at: number) => {
      const item = scene.overrides.items[at];
      decided(7, `Override ${item?.id} allows ${host} ${until(item?.until ?? Infinity, time)}.`);
    },
    noOverride: (begins: number | null) =>
      passed(
        7,
        begins === null
          ? `No override for ${host} and this client is in force.`
          : `No override for ${host} and this client is in force. One begins at ${time(begins)}.`,
      ),
    local: (at: number) => {
      const rule = policy.local.rules[at];
      const whose = rule?.scope === policy.groups.size ? 'The school' : rule?.scopeName;
      decided(
        8,
        `${whose} ${rule?.deny ? 'denies' : 'allows'} ${rule?.name}, the nearest rule and the longest name.`,
      );
    },
    noLocal: () => passed(8, `No list of ${[...group.chain, 'the school'].join(', ')} names ${host}.`),
    categories: (client: Client, blocking: number) => {
      const all = Array.from({ length: matches.count }, (_, at) => {
        const rating = ratings[matches.lists[at] ?? 0] as CompiledRating;
        return `${entry(at)}; ${state(rating, client)}.`;
      }).join(' ');
      decided(
        9,
        blocking < 0 ? `${all} All are open now.` : `${all} ${index.lists[blocking]?.name} decides.`,
      );
    },
    noCategory: () => passed(9, `${host} is in no category.`),
    safeForm: (verdict: Verdict) => follows(`${verdict.rule}: ${host} is answered as ${verdict.target}.`),
    noSafeForm: (engine: SearchEngine) =>
      follows(
        `${host} is ${engine.title}, which has no safe search that can be relied on, and ${group.name} is held to safe search.`,
      ),
    namedOverride: (at: number, engine: SearchEngine) =>
      follows(`Override ${scene.overrides.items[at]?.id} names ${engine.title} itself, so it stays open.`),
    namedRule: (at: number, engine: SearchEngine) =>
      follows(
        `${policy.local.rules[at]?.scopeName} allows ${policy.local.rules[at]?.name}, which is ${engine.title} itself, so it stays open.`,
      ),
    byDefault: () =>
      decided(
        10,
        `${group.name} ${group.default === 'allow' ? 'allows' : 'blocks'} names that no list knows.`,
      ),
  };
}

function until(at: number, time: (at: number) => string): string {
  return at === Infinity ? 'until someone ends it' : `until ${time(at)}`;
}

/** `Mon, 7 Sept 2026, 12:00` on the school's clock. */
function localTime(at: number, timeZone: string): string {
  return new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  }).format(at);
}
