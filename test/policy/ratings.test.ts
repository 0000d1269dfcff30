import { describe, expect, test } from 'vitest';
import type { Client, PolicyModel, Rating } from '../../src/policy/types.ts';
import { ask, one } from './ask.ts';
import { group, NOW, override, policy } from './fixture.ts';

describe('step 9: ratings', () => {
  const timetables = {
    lunch: [{ days: ['mon' as const], from: 720, to: 780 }],
    early: [{ days: ['mon' as const], from: 480, to: 540 }],
  };
  const lunchtime = Date.UTC(2026, 8, 7, 11, 30);
  const rate = (games: Rating): PolicyModel =>
    one({ ratings: { games, shopping: { kind: 'acceptable' } } }, { timetables });

  test.each<[string, Rating, Partial<Client>, number, string, string]>([
    ['acceptable', { kind: 'acceptable' }, {}, NOW, 'allow', 'acceptable'],
    ['unacceptable', { kind: 'unacceptable' }, {}, NOW, 'block', 'unacceptable'],
    ['illegal', { kind: 'illegal' }, {}, NOW, 'block', 'illegal'],
    ['timed, closed', { kind: 'timed', timetables: ['lunch'] }, {}, NOW, 'block', 'timed'],
    ['timed, open', { kind: 'timed', timetables: ['lunch'] }, {}, lunchtime, 'allow', 'acceptable'],
    [
      'timed, one of two open',
      { kind: 'timed', timetables: ['early', 'lunch'] },
      {},
      lunchtime,
      'allow',
      'acceptable',
    ],
    [
      'timed by a timetable that does not exist',
      { kind: 'timed', timetables: ['brunch'] },
      {},
      lunchtime,
      'block',
      'timed',
    ],
    ['nominated, nobody', { kind: 'nominated', users: ['head'] }, {}, NOW, 'block', 'nominated'],
    ['nominated, another', { kind: 'nominated', users: ['head'] }, { user: 'u' }, NOW, 'block', 'nominated'],
    [
      'nominated, the one',
      { kind: 'nominated', users: ['head'] },
      { user: 'head' },
      NOW,
      'allow',
      'acceptable',
    ],
  ])('F04 %s', (_, rating, who, now, action, reason) => {
    expect(ask(rate(rating), 'games.test', { who, now })).toMatchObject({
      action,
      reason,
      category: 'games',
      rating: rating.kind,
      list: 'starter-games',
      rule: `games is ${rating.kind} (g)`,
    });
  });

  test('F05 permission blocks until it is opened for a class', () => {
    const model = rate({ kind: 'permission' });
    expect(ask(model, 'games.test', { who: { class: 'c' } })).toMatchObject({
      action: 'block',
      reason: 'permission',
    });
    const overrides = [override({ names: ['games.test'], scope: { groups: [], classes: ['c'], users: [] } })];
    expect(ask(model, 'games.test', { who: { class: 'c' }, overrides })).toMatchObject({
      action: 'allow',
      reason: 'override',
    });
    expect(ask(model, 'games.test', { who: { class: 'd' }, overrides })).toMatchObject({
      action: 'block',
      reason: 'permission',
    });
  });

  test('F06 a timed verdict says when it turns', () => {
    const model = rate({ kind: 'timed', timetables: ['lunch'] });
    expect(ask(model, 'games.test')).toMatchObject({ until: Date.UTC(2026, 8, 7, 11) });
    expect(ask(model, 'games.test', { now: lunchtime })).toMatchObject({ until: Date.UTC(2026, 8, 7, 12) });
    expect(ask(model, 'free.test')).toMatchObject({ until: null });
  });

  test('F06 right on both clock-change days', () => {
    const sunday = { timetables: { lunch: [{ days: ['sun' as const], from: 720, to: 780 }] } };
    const model = one({ ratings: { games: { kind: 'timed', timetables: ['lunch'] } } }, sunday);
    for (const [when, action] of [
      ['2026-03-29T10:59:59Z', 'block'],
      ['2026-03-29T11:00:00Z', 'allow'],
      ['2026-03-29T12:00:00Z', 'block'],
      ['2026-10-25T11:59:59Z', 'block'],
      ['2026-10-25T12:00:00Z', 'allow'],
      ['2026-10-25T13:00:00Z', 'block'],
    ] as const)
      expect(ask(model, 'games.test', { now: Date.parse(when) }).action).toBe(action);
  });

  test('F03 a name in several categories: any that blocks blocks, and the first reason is shown', () => {
    const order: Rating[] = [
      { kind: 'illegal' },
      { kind: 'unacceptable' },
      { kind: 'permission' },
      { kind: 'nominated', users: ['head'] },
      { kind: 'timed', timetables: ['lunch'] },
    ];
    for (const [a, first] of order.entries())
      for (const second of order.slice(a + 1))
        for (const swap of [false, true]) {
          const ratings = swap ? { games: second, shopping: first } : { games: first, shopping: second };
          expect(ask(one({ ratings }, { timetables }), 'both.test').reason).toBe(first.kind);
        }
    const half = { games: { kind: 'acceptable' }, shopping: { kind: 'unacceptable' } } as const;
    expect(ask(one({ ratings: half }), 'both.test')).toMatchObject({ action: 'block', category: 'shopping' });
    expect(
      ask(one({ ratings: { games: { kind: 'timed', timetables: ['lunch'] } } }, { timetables }), 'both.test'),
    ).toMatchObject({
      reason: 'timed',
      until: null, // shopping is not rated and blocks at all times
    });
  });

  test('a category that nobody rates blocks', () => {
    expect(ask(one({}), 'odd.test')).toMatchObject({
      action: 'block',
      reason: 'unrated',
      category: 'odd',
      rating: null,
      rule: 'odd is not rated (g)',
    });
  });

  test('F07 ratings come from the nearest group that gives one, category by category', () => {
    const model = policy({
      groups: {
        ks1: group({ extends: 'pupils', ratings: { games: { kind: 'unacceptable' } } }),
        pupils: group({
          extends: 'all',
          ratings: { games: { kind: 'acceptable' }, shopping: { kind: 'unacceptable' } },
        }),
        all: group({
          default: 'allow',
          ratings: { shopping: { kind: 'acceptable' }, odd: { kind: 'acceptable' } },
        }),
      },
      unknown: 'ks1',
    });
    const seen = (name: string): string[] =>
      ['games.test', 'shop.test', 'odd.test', 'free.test'].map(
        (host) => ask(model, host, { who: { group: name } }).action,
      );
    expect(seen('ks1')).toEqual(['block', 'block', 'allow', 'allow']);
    expect(seen('pupils')).toEqual(['allow', 'block', 'allow', 'allow']);
    expect(seen('all')).toEqual(['block', 'allow', 'allow', 'allow']);
    expect(ask(model, 'shop.test')).toMatchObject({
      rule: 'shopping is unacceptable (pupils)',
      group: 'ks1',
    });
  });
});
