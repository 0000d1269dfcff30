// From policy.yaml as plain data to the `PolicyModel` that the policy room compiles. Names become canonical.
// It reports nothing: shape and meaning are checked elsewhere. Places in lists are kept, so that paths stay true.

import { HTTPS_RECORDS, PLAIN_RATINGS, SAFE_LEVELS, WEEKDAYS } from './schema/policy.ts';
import { list, mapping, meaning, meanings, word, type Raw } from './raw.ts';
import { parseClock, parseIdentifier, parseMatch, parseMoment, parseName, parseText } from './values.ts';
import type {
  ClientModel,
  GroupModel,
  PolicyModel,
  Rating,
  Suspension,
  TimetableSlot,
  Weekday,
} from '../policy/types.ts';

/** @param timezone the school's, from gateway.yaml */
export function resolvePolicy(data: unknown, timezone: string): PolicyModel {
  const top = mapping(data);
  return {
    timezone,
    timetables: each(top['timetables'], (slots) => list(slots).flatMap(resolveSlot)),
    groups: each(top['groups'], (group, name) => resolveGroup(name, mapping(group))),
    clients: list(top['clients']).map((client) => resolveClient(mapping(client))),
    unknown: meaning(top['unknown'], parseIdentifier, ''),
    allow: meanings(top['allow'], parseName),
    deny: meanings(top['deny'], parseName),
  };
}

function each<T>(value: unknown, convert: (entry: unknown, name: string) => T): Record<string, T> {
  return Object.fromEntries(
    Object.entries(mapping(value)).map(([name, entry]) => [name, convert(entry, name)]),
  );
}

function resolveSlot(value: unknown): TimetableSlot[] {
  const slot = mapping(value);
  const from = meaning(slot['from'], parseClock, null);
  const to = meaning(slot['to'], parseClock, null);
  const said = Array.isArray(slot['days']) ? slot['days'] : [slot['days']];
  const days: Weekday[] = WEEKDAYS.filter((day) => said.includes(day));
  return from === null || to === null || days.length === 0 ? [] : [{ days, from, to }];
}

function resolveRating(value: unknown): Rating | null {
  const plain = word(value, PLAIN_RATINGS, null);
  if (plain !== null) return { kind: plain };
  const { timed, nominated } = mapping(value);
  if (Array.isArray(timed))
    return { kind: 'timed', timetables: timed.filter((name) => typeof name === 'string') };
  if (Array.isArray(nominated)) return { kind: 'nominated', users: meanings(nominated, parseText) };
  return null;
}

function resolveGroup(name: string, group: Raw): GroupModel {
  const ratings = Object.entries(mapping(group['ratings'])).flatMap(([category, value]) => {
    const rating = resolveRating(value);
    return rating === null ? [] : [[category, rating] as const];
  });
  const parent = meaning(group['extends'], parseIdentifier, undefined);
  const identity = word(group['identity'], ['network', 'class'], undefined);
  const fallback = word(group['default'], ['allow', 'block'], undefined);
  const fail = word(group['fail'], ['closed', 'last-good'], undefined);
  const directIp = word(group['direct_ip'], ['allow', 'block'], undefined);
  const bypass = word(group['bypass'], ['allow', 'block'], undefined);
  const safeSearch = word(group['safe_search'], SAFE_LEVELS, undefined);
  const video = word(group['video'], SAFE_LEVELS, undefined);
  const httpsRecords = word(group['https_records'], HTTPS_RECORDS, undefined);
  return {
    label: meaning(group['label'], parseText, name),
    ...(parent === undefined ? {} : { extends: parent }),
    ...(identity === undefined ? {} : { identity }),
    ...(fallback === undefined ? {} : { default: fallback }),
    ratings: Object.fromEntries(ratings),
    allow: meanings(group['allow'], parseName),
    deny: meanings(group['deny'], parseName),
    ...(fail === undefined ? {} : { fail }),
    ...(directIp === undefined ? {} : { directIp }),
    ...(bypass === undefined ? {} : { bypass }),
    ...(safeSearch === undefined ? {} : { safeSearch }),
    ...(video === undefined ? {} : { video }),
    ...(httpsRecords === undefined ? {} : { httpsRecords }),
    ...resolveSuspension(group),
  };
}

function resolveClient(client: Raw): ClientModel {
  const className = meaning(client['class'], parseText, undefined);
  return {
    name: meaning(client['name'], parseText, ''),
    match: meanings(client['match'], parseMatch),
    group: meaning(client['group'], parseIdentifier, ''),
    ...(className === undefined ? {} : { class: className }),
    ...resolveSuspension(client),
  };
}

function resolveSuspension(holder: Raw): { suspended?: Suspension } {
  if (holder['suspended'] === undefined) return {};
  const said = mapping(holder['suspended']);
  return {
    suspended: {
      until: meaning(said['until'], parseMoment, null),
      reason: meaning(said['reason'], parseText, ''),
    },
  };
}
