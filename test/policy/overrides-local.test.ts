import { describe, expect, test } from 'vitest';
import type { GroupModel, PolicyModel } from '../../src/policy/types.ts';
import { ask, one } from './ask.ts';
import { group, NOW, override, policy } from './fixture.ts';

describe('step 7: overrides', () => {
  const model = policy({
    groups: {
      child: group({ extends: 'parent' }),
      parent: group({ default: 'block', ratings: { games: { kind: 'unacceptable' } }, deny: ['deny.test'] }),
      other: group({ extends: 'parent' }),
    },
    unknown: 'parent',
  });
  const nobody = { groups: [], classes: [], users: [] };

  test.each([
    ['its group', { groups: ['child'] }, {}, true],
    ['a parent of its group', { groups: ['parent'] }, {}, true],
    ['another group', { groups: ['other'] }, {}, false],
    ['a group that extends its group', { groups: ['child'] }, { group: 'parent' }, false],
    ['its class', { classes: ['c'] }, { class: 'c' }, true],
    ['another class', { classes: ['d'] }, { class: 'c' }, false],
    ['its user', { users: ['u'] }, { user: 'u' }, true],
    ['another user', { users: ['v'] }, { user: 'u' }, false],
    ['any of several', { groups: ['other'], users: ['u'] }, { user: 'u' }, true],
    ['nobody', {}, { user: 'u', class: 'c' }, false],
  ])('O01 scope %s', (_, scope, who, opens) => {
    const overrides = [override({ names: ['games.test'], scope: { ...nobody, ...scope } })];
    expect(ask(model, 'games.test', { overrides, who }).action).toBe(opens ? 'allow' : 'block');
  });

  test('O01 opens its names and what is below them, from its beginning until its end', () => {
    const scope = { ...nobody, groups: ['parent'] };
    const overrides = [
      override({ id: 'o7', names: ['games.test', 'deny.test'], scope, from: NOW, until: NOW + 100 }),
    ];
    expect(ask(model, 'a.games.test', { overrides })).toEqual({
      action: 'allow',
      reason: 'override',
      category: null,
      rating: null,
      rule: 'override o7',
      list: null,
      group: 'child',
      overrideId: 'o7',
      target: null,
      until: NOW + 100,
    });
    expect(ask(model, 'deny.test', { overrides })).toMatchObject({ reason: 'override' });
    expect(ask(model, 'both.test', { overrides })).toMatchObject({ action: 'block' });
    expect(ask(model, 'games.test', { overrides, now: NOW + 99 })).toMatchObject({ reason: 'override' });
    expect(ask(model, 'games.test', { overrides, now: NOW + 100 })).toMatchObject({
      reason: 'unacceptable',
      until: null,
    });
    expect(ask(model, 'games.test', { overrides, now: NOW - 1 })).toMatchObject({
      reason: 'unacceptable',
      until: NOW,
    });
    expect(ask(model, 'deny.test', { overrides, now: NOW - 1 })).toMatchObject({
      reason: 'local-deny',
      until: NOW,
    });
  });

  test('O01 of several the one that ends last decides', () => {
    const scope = { ...nobody, groups: ['child'] };
    const overrides = [
      override({ id: 'a', names: ['games.test'], scope, until: NOW + 10 }),
      override({ id: 'b', names: ['arcade.games.test'], scope, until: NOW + 5 }),
      override({ id: 'c', names: ['games.test'], scope, until: NOW + 20 }),
    ];
    expect(ask(model, 'arcade.games.test', { overrides })).toMatchObject({
      overrideId: 'c',
      until: NOW + 20,
    });
  });
});

describe('step 8: local lists', () => {
  const model = (
    own: Partial<GroupModel>,
    parent: Partial<GroupModel>,
    school: Partial<PolicyModel>,
  ): PolicyModel =>
    policy({
      groups: {
        g: group({ extends: 'p', default: 'block', ...own }),
        p: group(parent),
        strict: group({ allow: ['x.test'] }),
      },
      ...school,
    });

  test.each<[string, Partial<GroupModel>, Partial<GroupModel>, Partial<PolicyModel>, string, string]>([
    ['own beats parent', { allow: ['test'] }, { deny: ['a.x.test'] }, {}, 'allow', 'allow test (g)'],
    ['parent beats school', {}, { deny: ['x.test'] }, { allow: ['a.x.test'] }, 'block', 'deny x.test (p)'],
    [
      'school where no group speaks',
      { allow: ['y.test'] },
      {},
      { allow: ['x.test'] },
      'allow',
      'allow x.test (school)',
    ],
    [
      'the longest name within a scope',
      { allow: ['a.x.test'], deny: ['x.test'] },
      {},
      {},
      'allow',
      'allow a.x.test (g)',
    ],
    [
      'the longest name, the other way',
      { allow: ['x.test'], deny: ['a.x.test'] },
      {},
      {},
      'block',
      'deny a.x.test (g)',
    ],
    ['deny on a tie', { allow: ['x.test'], deny: ['x.test'] }, {}, {}, 'block', 'deny x.test (g)'],
    [
      'deny on a tie in the school',
      {},
      {},
      { allow: ['x.test'], deny: ['x.test'] },
      'block',
      'deny x.test (school)',
    ],
    ['another group has no say', {}, {}, {}, 'block', 'names that no list knows are blocked (g)'],
  ])('F07 %s', (_, own, parent, school, action, rule) => {
    expect(ask(model(own, parent, school), 'a.x.test')).toMatchObject({ action, rule });
  });

  test('F08 an allow list beats a category but never illegal', () => {
    const list = {
      allow: ['games.test', 'sealed.test'],
      ratings: { games: { kind: 'unacceptable' } as const },
    };
    expect(ask(one(list), 'www.games.test')).toMatchObject({
      action: 'allow',
      reason: 'local-allow',
      rule: 'allow games.test (g)',
    });
    expect(ask(one(list), 'www.sealed.test')).toMatchObject({ action: 'block', reason: 'illegal' });
  });

  test('names that are nearly the same are not the same', () => {
    const list = one({ default: 'block', allow: ['x.test'] });
    for (const host of ['xx.test', 'test', 'x.test.y', 'ax.test'])
      expect(ask(list, host)).toMatchObject({ reason: 'default-block' });
  });
});
