// The one schema of policy.yaml: timetables, groups, clients, and the school's own lists.
// Shape only; what one part says of another (groups, timetables, categories) is checked in check-policy.ts.

import { z } from 'zod';
import { optional, required, textOf } from './keys.ts';
import { parseClock, parseIdentifier, parseMatch, parseMoment, parseName, parseText } from '../values.ts';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export const PLAIN_RATINGS = ['acceptable', 'permission', 'unacceptable', 'illegal'] as const;

/** What is in force when no group in an `extends` chain says anything. */
const GROUP_DEFAULTS = {
  identity: 'network',
  default: 'block',
  fail: 'closed',
  bypass: 'block',
  safeSearch: 'strict',
  video: 'strict',
  httpsRecords: 'strip',
} as const;

const weekday = z.enum(WEEKDAYS);
const RATING_ADVICE =
  'write one of: acceptable, permission, unacceptable, illegal, { timed: [lunch] }, { nominated: [username] }';

const slot = z.strictObject({
  days: required(z.union([weekday, z.array(weekday).min(1)]), {
    says: 'The days: mon, tue, wed, thu, fri, sat, sun; one or a list.',
    write: 'write days such as [mon, tue, wed, thu, fri]',
  }),
  from: required(textOf(parseClock), {
    says: 'When it begins, on the school’s clock.',
    write: 'write "HH:MM", for example "12:00"',
  }),
  to: required(textOf(parseClock), {
    says: 'When it ends; that minute is no longer part of it. An end before the beginning runs past midnight.',
    write: 'write "HH:MM", for example "13:00"',
  }),
});

const rating = z.union([
  z.enum(PLAIN_RATINGS),
  z.strictObject({
    timed: optional(z.array(textOf(parseIdentifier)).min(1), {
      says: 'Open while one of these timetables runs.',
      write: 'write a list of timetables, for example [lunch]',
    }),
    nominated: optional(z.array(textOf(parseText)).min(1), {
      says: 'Open for these users only.',
      write: 'write a list of usernames, for example [head]',
    }),
  }),
]);

const suspended = (who: string) =>
  optional(
    z.strictObject({
      until: optional(textOf(parseMoment), {
        says: 'When it ends, with the offset from UTC. Left out: until this entry is removed.',
        write: 'write date, time and offset, for example 2026-07-21T16:00+01:00',
      }),
      reason: required(textOf(parseText), {
        says: 'Why, for the log.',
        write: 'write reason: and a few words',
      }),
    }),
    {
      says: `Everything is blocked for this ${who}.`,
      write: 'write { until: 2026-07-21T16:00+01:00, reason: a few words }',
    },
  );

const names = (says: string) =>
  optional(z.array(textOf(parseName)), {
    says,
    write: 'write a list of names, for example [bbc.co.uk]',
    fallback: [],
  });

const openOrShut = z.enum(['allow', 'block']);
export const SAFE_LEVELS = ['strict', 'moderate', 'off'] as const;
export const HTTPS_RECORDS = ['strip', 'deny'] as const;

const group = z.strictObject({
  label: optional(textOf(parseText), {
    says: 'The name that people read. Left out: the name of the group.',
    write: 'write a few words, for example Key Stage 1',
  }),
  extends: optional(textOf(parseIdentifier), {
    says: 'The group whose settings hold where this one says nothing. Ratings are taken over one by one; allow and deny lists add up.',
    write: 'write the name of another group',
  }),
  identity: optional(z.enum(['network', 'class']), {
    says: 'How its people are known: `network` (by address) or `class` (the address belongs to a class; without one, everything is blocked).',
    write: 'write one of: network, class',
    fallback: GROUP_DEFAULTS.identity,
  }),
  default: optional(openOrShut, {
    says: 'What happens to a name that no list holds.',
    write: 'write one of: allow, block',
    fallback: GROUP_DEFAULTS.default,
  }),
  ratings: optional(
    z.record(textOf(parseIdentifier), required(rating, { says: 'The rating.', write: RATING_ADVICE })),
    {
      says: 'A rating for each category of list: `acceptable`; `{ timed: [timetable] }` open at those times; `{ nominated: [user] }` open for those users; `permission` open when staff open it; `unacceptable`; `illegal`. A category that is not rated is blocked.',
      write: 'write categories with ratings, for example { games: unacceptable }',
      fallback: {},
    },
  ),
  allow: names('Names that are open to this group whatever their category. Never opens a sealed list.'),
  deny: names('Names that are blocked for this group. The longer name wins; on a tie, deny.'),
  fail: optional(z.enum(['closed', 'last-good']), {
    says: 'What happens if the gateway cannot decide: `closed` blocks, `last-good` goes by the last policy and lists that worked.',
    write: 'write one of: closed, last-good',
    fallback: GROUP_DEFAULTS.fail,
  }),
  direct_ip: optional(openOrShut, {
    says: 'A page asked for by address instead of by name. Left out: the same as `default`.',
    write: 'write one of: allow, block',
  }),
  bypass: optional(openOrShut, {
    says: 'Names that exist to get round the filter, such as public DNS resolvers and relays.',
    write: 'write one of: allow, block',
    fallback: GROUP_DEFAULTS.bypass,
  }),
  safe_search: optional(z.enum(SAFE_LEVELS), {
    says: 'Search engines that have a safe form are answered with it (Google, Bing, DuckDuckGo and others), in DNS and in the proxy. `strict` also blocks the engines that have none, unless `allow` or an unblock names them; `moderate` leaves those open; `off` must be written.',
    write: 'write one of: strict, moderate, off',
    fallback: GROUP_DEFAULTS.safeSearch,
  }),
  video: optional(z.enum(SAFE_LEVELS), {
    says: 'YouTube’s restricted mode. It opens nothing that the group’s ratings block.',
    write: 'write one of: strict, moderate, off',
    fallback: GROUP_DEFAULTS.video,
  }),
  https_records: optional(z.enum(HTTPS_RECORDS), {
    says: 'DNS records of types HTTPS and SVCB: `strip` takes out what would encrypt the name of the site (ECH), `deny` answers that there are none.',
    write: 'write one of: strip, deny',
    fallback: GROUP_DEFAULTS.httpsRecords,
  }),
  suspended: suspended('group'),
});

const client = z.strictObject({
  name: required(textOf(parseText), {
    says: 'What these devices are, for the log.',
    write: 'write name: and a few words, for example year-2-tablets',
  }),
  match: required(z.array(textOf(parseMatch)).min(1), {
    says: 'Their addresses or networks, of which the longest prefix wins; or `id:` and the client id that a device sends over DoT (`<id>.<host>`) or DoH (`/dns-query/<id>`), which goes before the address. An id is what a device says of itself: choose one that nobody guesses where it opens more than the network would.',
    write: 'write a list such as ["10.2.0.0/24", "id:tablet-7"]',
  }),
  group: required(textOf(parseIdentifier), {
    says: 'The group they belong to.',
    write: 'write group: and the name of a group',
  }),
  class: optional(textOf(parseText), {
    says: 'The class that uses them. It counts as identified.',
    write: 'write the name of the class, for example hedgehogs',
  }),
  suspended: suspended('client'),
});

export const policySchema = z.strictObject({
  timetables: optional(z.record(textOf(parseIdentifier), z.array(slot).min(1)), {
    says: 'Named weekly times, for ratings that are `timed`.',
    write: 'write { lunch: [{ days: [mon, tue], from: "12:00", to: "13:00" }] }',
    fallback: {},
  }),
  groups: required(z.record(textOf(parseIdentifier), group), {
    says: 'The groups and what each may see.',
    write: 'write groups: and at least one group',
  }),
  clients: optional(z.array(client), {
    says: 'Which devices and networks belong to which group.',
    write: 'write a list with entries such as { name: year-2, match: ["10.2.0.0/24"], group: ks1 }',
    fallback: [],
  }),
  unknown: required(textOf(parseIdentifier), {
    says: 'The group of everyone else. Make it the strictest.',
    write: 'write unknown: and the name of the strictest group',
  }),
  allow: names('Names that are open to the whole school, unless a group says otherwise.'),
  deny: names('Names that are blocked for the whole school, unless a group says otherwise.'),
});

/** Keys that a reader of the documentation may try, and why they are refused. */
export const POLICY_LATER: Readonly<Record<string, string>> = {
  'groups.*.lesson': 'lesson mode is not in this version: leave this out',
};
