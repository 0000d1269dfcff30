import { expect, test } from 'vitest';
import { checkPolicy } from '../../src/policy/check.ts';
import type { PolicyModel } from '../../src/policy/types.ts';
import { group, policy } from './fixture.ts';

const told = (model: PolicyModel, categories: string[] = []): string[] =>
  checkPolicy(model, categories).map((p) => `${p.level} ${p.path.join('.')}: ${p.problem}; ${p.advice}`);

test('a good policy has no problems', () => {
  const model = policy({
    timetables: { lunch: [{ days: ['mon'], from: 720, to: 1440 }] },
    groups: {
      base: group({ ratings: { games: { kind: 'timed', timetables: ['lunch'] } } }),
      ks1: group({
        extends: 'base',
        identity: 'class',
        ratings: { news: { kind: 'nominated', users: ['head'] } },
      }),
      strict: group({ extends: 'ks1' }),
    },
    clients: [{ name: 'a', match: ['10.0.0.1'], group: 'ks1', class: 'c' }],
  });
  expect(told(model, ['games', 'news', 'illegal'])).toEqual([]);
});

test.each<[string, PolicyModel, string[], string[]]>([
  [
    'zone',
    policy({ timezone: 'Europe/Londn' }),
    [],
    ['error timezone: Europe/Londn is not a time zone; write one such as Europe/London'],
  ],
  [
    'no groups',
    policy({ groups: {} }),
    [],
    ['error groups: there are no groups; declare at least one group'],
  ],
  [
    'unknown',
    policy({ unknown: 'strct' }),
    [],
    ['error unknown: there is no group strct; write one of: strict'],
  ],
  [
    'unknown that allows',
    policy({ groups: { strict: group({ extends: 'p' }), p: group({ default: 'allow' }) } }),
    [],
    [
      'warning unknown: strict allows names that no list knows, and every unregistered device gets it; name the strictest group',
    ],
  ],
  [
    'a parent that does not exist',
    policy({ groups: { strict: group({ extends: 'pupil' }), pupils: group() } }),
    [],
    ['error groups.strict.extends: there is no group pupil; write one of: pupils'],
  ],
  [
    'circles, told for those who are in them',
    policy({
      groups: {
        strict: group({ extends: 'a' }),
        a: group({ extends: 'b' }),
        b: group({ extends: 'a' }),
        c: group({ extends: 'c' }),
      },
    }),
    [],
    [
      'error groups.a.extends: goes in a circle: a extends b extends a; let one of them extend nothing',
      'error groups.b.extends: goes in a circle: b extends a extends b; let one of them extend nothing',
      'error groups.c.extends: goes in a circle: c extends c; let one of them extend nothing',
    ],
  ],
  [
    'timetables',
    policy({ timetables: { none: [], odd: [{ days: [], from: -1, to: 1441 }] } }),
    [],
    [
      'warning timetables.none: has no times, so it is never open; add a slot or remove it',
      'error timetables.odd.0.days: names no day; write days such as [mon, tue]',
      'error timetables.odd.0.from: is not a time of day; write a time such as "12:30"',
      'error timetables.odd.0.to: is not a time of day; write a time such as "12:30"',
    ],
  ],
  [
    'ratings',
    policy({
      timetables: { lunch: [{ days: ['mon'], from: 0, to: 1 }] },
      groups: {
        strict: group({
          extends: 'p',
          ratings: {
            a: { kind: 'timed', timetables: ['lunch', 'brunch'] },
            b: { kind: 'timed', timetables: [] },
            c: { kind: 'nominated', users: [] },
            d: { kind: 'acceptable' },
            e: { kind: 'acceptable' },
            illegal: { kind: 'acceptable' },
          },
        }),
        p: group({ ratings: { d: { kind: 'illegal' } } }),
      },
    }),
    ['a', 'b', 'c', 'd', 'illegal', 'y', 'x'],
    [
      'error groups.strict.ratings.a.timed.1: there is no timetable brunch; write one of: lunch',
      'warning groups.strict.ratings.b: names no timetable, so it always blocks; name a timetable',
      'warning groups.strict.ratings.c: nominates nobody, so it always blocks; name a user',
      'warning groups.strict.ratings.d: loosens what p calls illegal; remove it, or change it in p',
      'warning groups.strict.ratings.e: no list has the category e; write one of: a, b, c, d, illegal, y, x; or add a list',
      'warning groups.strict.ratings.illegal: has no effect: illegal lists are sealed for every group; remove it',
      'warning groups.strict.ratings: x, y are not rated, so names in them are blocked; rate each one, as in games: unacceptable',
    ],
  ],
  [
    'local lists that cannot work',
    policy({
      groups: {
        strict: group({ allow: ['DNS.google', 'x.mask.icloud.com', 'dns.example'] }),
        s: group({ bypass: 'allow', allow: ['dns.google'] }),
      },
    }),
    [],
    [
      'warning groups.strict.allow.0: DNS.google gets round the filter and stays blocked; remove it, or write bypass: allow',
      'warning groups.strict.allow.1: x.mask.icloud.com is blocked for every group, whatever is allowed; remove it',
    ],
  ],
  [
    'clients',
    policy({
      groups: { strict: group({ identity: 'class' }) },
      clients: [
        { name: 'a', match: [], group: 'strict' },
        { name: 'b', match: [], group: 'nobody' },
      ],
    }),
    [],
    [
      'warning clients.0: strict needs to know the class and a has none, so only the portal is open; add class: NAME',
      'error clients.1.group: there is no group nobody; write one of: strict',
    ],
  ],
])('%s', (_, model, categories, expected) => {
  expect(told(model, categories)).toEqual(expected);
});
