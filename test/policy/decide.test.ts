import { describe, expect, test } from 'vitest';
import { CIRCUMVENTION } from '../../src/policy/circumvention.ts';
import type { GroupModel } from '../../src/policy/types.ts';
import { ask, index, one } from './ask.ts';
import { buildIndex, client, engineWith, group, NOW, override, policy, wire, WIRE_AT } from './fixture.ts';

describe('step 1: sealed lists and categories rated illegal', () => {
  test('F02 nothing lifts a sealed name: not an override, an allow, a rating or a default', () => {
    const model = one(
      {
        allow: ['sealed.test'],
        ratings: { illegal: { kind: 'acceptable' } },
        bypass: 'allow',
        directIp: 'allow',
      },
      { allow: ['sealed.test', 'www.sealed.test'] },
    );
    const scope = { groups: ['g'], classes: ['c'], users: ['u'] };
    const overrides = [override({ names: ['sealed.test', 'www.sealed.test'], scope })];
    for (const host of ['sealed.test', 'www.sealed.test'])
      expect(ask(model, host, { overrides, who: { user: 'u', class: 'c' } })).toEqual({
        action: 'block',
        reason: 'illegal',
        category: 'illegal',
        rating: 'illegal',
        rule: 'sealed list bad-things',
        list: 'bad-things',
        group: 'g',
        overrideId: null,
        target: null,
        until: null,
      });
  });

  test('F02 F04 a category that the group rates illegal holds at step 1 too', () => {
    const overrides = [override({ names: ['games.test'], scope: { groups: ['g'], classes: [], users: [] } })];
    const model = one({ ratings: { games: { kind: 'illegal' } }, allow: ['games.test'] });
    expect(ask(model, 'games.test', { overrides })).toMatchObject({
      action: 'block',
      reason: 'illegal',
      category: 'games',
      rating: 'illegal',
      list: 'starter-games',
      rule: 'games is illegal (g)',
      until: null,
    });
  });

  test('F02 a list of the category illegal is sealed even if it is not marked so', () => {
    const unmarked = buildIndex({ l: { category: 'illegal', names: ['x.test'] } });
    expect(ask(one({ allow: ['x.test'] }), 'x.test', { index: unmarked })).toMatchObject({
      reason: 'illegal',
    });
  });

  test('a sealed list is shown before a rating of illegal', () => {
    const both = buildIndex({
      a: { category: 'games', names: ['x.test'] },
      b: { category: 'worse', sealed: true, names: ['x.test'] },
    });
    expect(ask(one({ ratings: { games: { kind: 'illegal' } } }), 'x.test', { index: both })).toMatchObject({
      list: 'b',
    });
  });
});

describe('step 2: connection facts', () => {
  test.each([
    ['default block', { default: 'block' }, 'direct-ip'],
    ['default allow', { default: 'allow' }, 'default-allow'],
    ['allowed', { default: 'block', directIp: 'allow' }, 'default-block'],
    ['blocked', { default: 'allow', directIp: 'block' }, 'direct-ip'],
    [
      'allowed and listed as local',
      { default: 'block', directIp: 'allow', allow: ['203.0.113.9', '2001:DB8:0::9'] },
      'local-allow',
    ],
  ] as const)('F12 an address, %s', (_, over, reason) => {
    const model = policy({ groups: { g: group(over as Partial<GroupModel>), strict: group() } });
    for (const host of ['203.0.113.9', '2001:db8::9', '2001:DB8::9', '::ffff:203.0.113.9'])
      expect(ask(model, host)).toMatchObject({ reason });
  });

  test('F12 every circumvention name is blocked by default, with all below it', () => {
    for (const { name } of CIRCUMVENTION)
      for (const host of [name, `a.b.${name}`])
        expect(ask(one({}), host)).toMatchObject({ action: 'block', reason: 'bypass' });
    expect(ask(one({}), 'dns.google')).toMatchObject({
      rule: 'dns.google gets round the filter',
      category: null,
      list: null,
    });
    for (const host of ['google', 'notdns.google', 'icloud.com', 'apple-dns.net', 'xdns0.eu'])
      expect(ask(one({}), host)).toMatchObject({ reason: 'default-allow' });
  });

  test('F12 a group may be let to relays and resolvers, never past a canary', () => {
    const model = one({ bypass: 'allow' });
    for (const { name, kind } of CIRCUMVENTION)
      expect(ask(model, name).action).toBe(kind === 'canary' ? 'block' : 'allow');
  });

  test('F12 neither an allow list nor an override lifts it', () => {
    const overrides = [override({ names: ['dns.google'], scope: { groups: ['g'], classes: [], users: [] } })];
    expect(ask(one({ allow: ['dns.google'] }), 'dns.google', { overrides })).toMatchObject({
      reason: 'bypass',
    });
  });
});

describe('step 3: suspension', () => {
  const suspended = (until: number | null): Partial<GroupModel> => ({
    suspended: { until, reason: 'chat in lessons' },
  });

  test('F15 a group until a time, which ends by itself', () => {
    const model = one(suspended(NOW + 5000));
    expect(ask(model, 'free.test')).toMatchObject({
      action: 'block',
      reason: 'suspended',
      rule: 'group g is suspended: chat in lessons',
      until: NOW + 5000,
    });
    expect(ask(model, 'free.test', { now: NOW + 4999 })).toMatchObject({ reason: 'suspended' });
    expect(ask(model, 'free.test', { now: NOW + 5000 })).toMatchObject({
      reason: 'default-allow',
      until: null,
    });
  });

  test('F25 without end, until someone lifts it', () => {
    expect(ask(one(suspended(null)), 'free.test', { now: NOW + 1e12 })).toMatchObject({
      reason: 'suspended',
      until: null,
    });
  });

  test('F15 a parent that is suspended suspends those that extend it', () => {
    const model = policy({
      groups: { child: group({ extends: 'g' }), g: group(suspended(NOW + 9)), strict: group() },
    });
    expect(ask(model, 'free.test')).toMatchObject({
      reason: 'suspended',
      rule: 'group g is suspended: chat in lessons',
    });
  });

  test('F15 a device, and the longer of device and group', () => {
    const clients = [
      { name: 'tablet', match: ['10.0.0.9'], group: 'g', suspended: { until: NOW + 50, reason: 'lost' } },
    ];
    const who = { device: 'tablet' };
    expect(ask(one({}, { clients }), 'free.test', { who })).toMatchObject({
      reason: 'suspended',
      rule: 'device tablet is suspended: lost',
      until: NOW + 50,
    });
    expect(ask(one({}, { clients }), 'free.test')).toMatchObject({ reason: 'default-allow' });
    expect(ask(one(suspended(NOW + 90), { clients }), 'free.test', { who })).toMatchObject({
      until: NOW + 90,
    });
    expect(ask(one(suspended(NOW + 10), { clients }), 'free.test', { who })).toMatchObject({
      until: NOW + 50,
    });
  });
});

describe('step 4: identity', () => {
  test('I01 a class group without a class sees the portal only', () => {
    const model = one({ identity: 'class', allow: ['free.test'] });
    expect(ask(model, 'free.test')).toMatchObject({
      action: 'portal',
      reason: 'identity-required',
      until: null,
    });
    expect(ask(model, 'free.test', { who: { class: 'hedgehogs' } })).toMatchObject({ reason: 'local-allow' });
  });
});

describe('step 10 and groups', () => {
  test('F01 the group default decides what no list knows; without one it blocks', () => {
    expect(ask(one({}), 'free.test')).toMatchObject({ action: 'allow', reason: 'default-allow' });
    expect(ask(one({ default: 'block' }), 'free.test')).toMatchObject({
      action: 'block',
      reason: 'default-block',
    });
    expect(ask(policy({ groups: { g: group() }, unknown: 'g' }), 'free.test')).toMatchObject({
      reason: 'default-block',
    });
  });

  test('F01 a client whose group the policy does not have is an unknown client', () => {
    expect(ask(one({}), 'free.test', { who: { group: 'gone' } })).toMatchObject({
      action: 'block',
      group: 'strict',
    });
    const orphan = policy({ groups: {}, unknown: 'missing' });
    expect(ask(orphan, 'free.test', { who: { group: 'gone' } })).toMatchObject({
      action: 'block',
      group: 'missing',
    });
    expect(ask(orphan, '203.0.113.9', { who: { group: 'gone' } })).toMatchObject({ reason: 'direct-ip' });
  });

  test('a circle of groups ends where it began', () => {
    const model = policy({
      groups: { a: group({ extends: 'b' }), b: group({ extends: 'a', default: 'allow' }) },
      unknown: 'a',
    });
    expect(ask(model, 'free.test')).toMatchObject({ reason: 'default-allow', group: 'a' });
  });

  test('the root and a single label are decided like any name', () => {
    const engine = engineWith(one({}), index);
    expect(engine.decideWire(wire(''), WIRE_AT, client({ group: 'g' }), NOW)).toMatchObject({
      reason: 'default-allow',
    });
    expect(ask(one({}), 'localhost')).toMatchObject({ reason: 'default-allow' });
  });
});
