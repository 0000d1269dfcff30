import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { BlockIndex } from '../../src/blocklist/types.ts';
import { createEngine } from '../../src/policy/engine.ts';
import {
  buildIndex,
  client,
  engineWith,
  group,
  NOW,
  override,
  policy,
  SEED,
  wire,
  WIRE_AT,
} from './fixture.ts';

const lists = {
  games: { category: 'games', names: ['games.test'] },
  more: { category: 'games', names: ['games.test', 'arcade.games.test'] },
};
const index = buildIndex(lists);
const model = policy({
  groups: {
    pupils: group({ default: 'allow', ratings: { games: { kind: 'unacceptable' } } }),
    staff: group({ default: 'allow', fail: 'last-good', ratings: { games: { kind: 'acceptable' } } }),
    head: group({ extends: 'staff' }),
    strict: group({ default: 'block' }),
  },
  clients: [{ name: 'ipads', match: ['10.2.0.0/24'], group: 'pupils', class: 'c' }],
});
const pupil = client({ group: 'pupils' });
const staff = client({ group: 'staff' });

describe('before everything is in force', () => {
  test('F01 without a policy everything is blocked, and without an index too, staff included', () => {
    const engine = createEngine({ seed: SEED });
    const both = (): string[] => [
      engine.decideHost('free.test', staff, NOW, 'http').reason,
      engine.decideWire(wire('free.test'), WIRE_AT, staff, NOW).reason,
      engine.explain('free.test', staff, NOW, 'http').verdict.reason,
    ];
    expect(engine.ready()).toBe(false);
    expect(both()).toEqual(['no-policy', 'no-policy', 'no-policy']);
    expect(engine.client('10.2.0.5')).toMatchObject({ group: 'unknown', device: null });
    expect(engine.clientFor({ group: 'staff' })).toBeNull();
    expect(engine.lists('games.test')).toEqual([]);
    engine.setPolicy(model, 4);
    expect(engine.ready()).toBe(false);
    expect(both()).toEqual(['no-index', 'no-index', 'no-index']);
    expect(engine.explain('free.test', staff, NOW, 'http').trace).toMatchObject([
      { step: 1, outcome: 'decided' },
    ]);
    engine.setIndex(index, 5);
    engine.setOverrides([], 6);
    expect(engine.ready()).toBe(true);
    expect(both()).toEqual(['default-allow', 'default-allow', 'default-allow']);
    expect(engine.generations).toEqual({ policy: 4, index: 5, overrides: 6 });
    expect(engine.model()).toBe(model);
  });

  test('F01 an index alone decides nothing', () => {
    const engine = createEngine({ seed: SEED });
    engine.setIndex(index, 1);
    expect(engine.decideHost('free.test', staff, NOW, 'http')).toMatchObject({
      action: 'block',
      reason: 'no-policy',
    });
    expect(engine.lists('games.test')).toHaveLength(2);
  });
});

describe('what cannot be asked for', () => {
  test.each([
    ['a compression pointer', [0xc0, 0x0c]],
    ['a label past the end', [9, 97, 98]],
    ['no root', [1, 97]],
    ['nothing', []],
    ['a name over 255 bytes', Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? 1 : 97))],
  ])('on the wire: %s', (_, bytes) => {
    const engine = engineWith(model, index);
    const packet = Uint8Array.from([...new Array<number>(12).fill(0), ...bytes]);
    expect(engine.decideWire(packet, WIRE_AT, staff, NOW)).toMatchObject({
      action: 'block',
      reason: 'malformed',
    });
    expect(engine.decideWire(packet, 5000, staff, NOW)).toMatchObject({ reason: 'malformed' });
  });

  test.each([
    '',
    '.',
    'a..b',
    'a b.test',
    `${'a'.repeat(64)}.test`,
    'x.'.repeat(200),
    '256.1.1.1',
    'münchen.test',
    'a/b',
  ])('as a host: %s', (host) => {
    const engine = engineWith(model, index);
    const { verdict, trace } = engine.explain(host, staff, NOW, 'http');
    expect(verdict).toMatchObject({ action: 'block', reason: 'malformed' });
    expect(trace).toHaveLength(1);
  });
});

test('whatever bytes or text come, there is a verdict and nothing is thrown (property)', () => {
  const engine = engineWith(model, index);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.integer({ min: -2, max: 700 }),
      fc.string(),
      (bytes, at, text) => {
        expect(engine.decideWire(bytes, at, pupil, NOW).action).toMatch(/^(block|allow)$/);
        expect(engine.decideHost(text, engine.client(text), NOW, 'http').action).toBe('block');
        expect(engine.lists(text)).toEqual([]);
      },
    ),
    { numRuns: 1000 },
  );
});

describe('swaps', () => {
  test('an index with another seed brings the tables and overrides along', () => {
    const scope = { groups: ['pupils'], classes: [], users: [] };
    const local = { ...model, allow: ['local.test'], groups: { ...model.groups, strict: group() } };
    const engine = engineWith(local, index, [override({ names: ['games.test'], scope })]);
    for (const seed of [{ lo: 7, hi: 8 }, { lo: 0, hi: 0 }, SEED]) {
      engine.setIndex(buildIndex(lists, seed), 2);
      expect(engine.decideHost('games.test', pupil, NOW, 'http').reason).toBe('override');
      expect(engine.decideHost('arcade.games.test', staff, NOW, 'http').reason).toBe('acceptable');
      expect(engine.decideHost('a.local.test', client(), NOW, 'http').reason).toBe('local-allow');
      expect(engine.decideHost('dns.google', staff, NOW, 'http').reason).toBe('bypass');
      expect(
        engine
          .lists('arcade.games.test')
          .map(({ list, name }) => `${list.name} ${name}`)
          .sort(),
      ).toEqual(['games games.test', 'more arcade.games.test']);
    }
  });

  test('O01 a revoked override is out of force at once, whatever verdicts were kept', () => {
    const scope = { groups: ['pupils'], classes: [], users: [] };
    const engine = engineWith(model, index, [override({ id: 'a', names: ['games.test'], scope })]);
    expect(engine.decideHost('games.test', pupil, NOW, 'http')).toMatchObject({ overrideId: 'a' });
    engine.setOverrides([override({ id: 'b', names: ['games.test'], scope })], 2);
    expect(engine.decideHost('games.test', pupil, NOW, 'http')).toMatchObject({ overrideId: 'b' });
    engine.setOverrides([], 3);
    expect(engine.decideHost('games.test', pupil, NOW, 'http')).toMatchObject({ reason: 'unacceptable' });
  });

  test('a policy that cannot be used is refused and changes nothing', () => {
    const engine = engineWith(model, index);
    expect(() => engine.setPolicy({ ...model, timezone: 'Nowhere/Else' }, 9)).toThrow(RangeError);
    expect(engine.generations.policy).toBe(1);
    expect(engine.model()).toBe(model);
    expect(engine.decideHost('free.test', staff, NOW, 'http').reason).toBe('default-allow');
  });

  test('1,000 swaps of policy and index never give a wrong answer', () => {
    const engine = engineWith(model, index);
    const other = buildIndex(
      { ...lists, free: { category: 'games', names: ['free.test'] } },
      { lo: 3, hi: 4 },
    );
    const strict = { ...model, groups: { ...model.groups, pupils: group({ default: 'block' }) } };
    for (let i = 0; i < 1000; i++) {
      engine.setIndex(i % 2 === 0 ? other : index, i);
      engine.setPolicy(i % 3 === 0 ? strict : model, i);
      const expected =
        i % 2 === 0
          ? i % 3 === 0
            ? 'unrated'
            : 'unacceptable'
          : i % 3 === 0
            ? 'default-block'
            : 'default-allow';
      expect(engine.decideWire(wire('www.free.test'), WIRE_AT, pupil, NOW).reason).toBe(expected);
    }
  });
});

describe('F01 when the gateway cannot decide', () => {
  /** An index that says a list holds the name which it does not have. */
  const broken: BlockIndex = { ...index, lists: [] };

  test('the strict answer for groups that fail closed, the last good one for groups that say so', () => {
    const errors: unknown[] = [];
    const engine = engineWith(model, index, [], (error) => errors.push(error));
    expect(engine.decideHost('games.test', staff, NOW, 'http').action).toBe('allow');
    engine.setIndex(broken, 2);
    for (const who of [staff, client({ group: 'head' })]) {
      expect(engine.decideHost('games.test', who, NOW, 'http')).toMatchObject({
        action: 'allow',
        reason: 'acceptable',
      });
      expect(engine.decideWire(wire('games.test'), WIRE_AT, who, NOW)).toMatchObject({ action: 'allow' });
      const { verdict, trace } = engine.explain('games.test', who, NOW, 'http');
      expect(verdict.action).toBe('allow');
      expect(trace.map((s) => s.step)).toEqual([1, 2, 3, 4, 7, 8, 9]);
    }
    for (const who of [pupil, client(), client({ group: 'gone' })]) {
      expect(engine.decideHost('games.test', who, NOW, 'http')).toMatchObject({
        action: 'block',
        reason: 'internal-error',
        group: who.group,
      });
      expect(engine.decideWire(wire('games.test'), WIRE_AT, who, NOW)).toMatchObject({
        reason: 'internal-error',
      });
      expect(engine.explain('games.test', who, NOW, 'http')).toMatchObject({
        verdict: { reason: 'internal-error' },
        trace: [{ step: 1 }],
      });
    }
    expect(errors.length).toBe(15);
    expect(String(errors[0])).toContain('the index names list');
  });

  test('with nothing to fall back on every group is blocked, and a listener that throws changes nothing', () => {
    const engine = engineWith(model, broken, [], () => {
      throw new Error('listener');
    });
    expect(engine.decideHost('games.test', staff, NOW, 'http')).toMatchObject({
      action: 'block',
      reason: 'internal-error',
    });
    expect(engine.decideHost('free.test', staff, NOW, 'http')).toMatchObject({ action: 'allow' });
  });

  test('an override revoked meanwhile is gone from the last good pair too', () => {
    const scope = { groups: ['staff'], classes: [], users: [] };
    const shut = {
      ...model,
      groups: { ...model.groups, staff: group({ fail: 'last-good', default: 'block' }) },
    };
    const engine = engineWith(shut, index, [override({ names: ['games.test'], scope })], () => undefined);
    expect(engine.decideHost('games.test', staff, NOW, 'http').reason).toBe('override');
    engine.setIndex(broken, 2);
    expect(engine.decideHost('games.test', staff, NOW, 'http').reason).toBe('override');
    engine.setOverrides([], 2);
    expect(engine.decideHost('games.test', staff, NOW, 'http').reason).toBe('unrated');
  });

  test('a time that is no time is an error, not an allow', () => {
    const timed = policy({
      groups: {
        staff: group({ default: 'allow', ratings: { games: { kind: 'timed', timetables: ['t'] } } }),
        strict: group(),
      },
      timetables: { t: [{ days: ['mon'], from: 0, to: 9 }] },
    });
    const engine = engineWith(timed, index, [], () => undefined);
    expect(engine.decideHost('games.test', staff, NaN, 'http')).toMatchObject({ reason: 'internal-error' });
  });
});

describe('kept verdicts', () => {
  test('the same cause gives the same object, and a new one only when its end changes', () => {
    const lunch = { t: [{ days: ['mon' as const], from: 720, to: 780 }] };
    const timed = policy({
      groups: { staff: group({ ratings: { games: { kind: 'timed', timetables: ['t'] } } }), strict: group() },
      timetables: lunch,
    });
    const engine = engineWith(timed, index);
    const first = engine.decideHost('games.test', staff, NOW, 'http');
    expect(engine.decideHost('www.games.test', staff, NOW + 60_000, 'http')).toBe(first);
    expect(engine.decideHost('games.test', staff, first.until ?? 0, 'http')).not.toBe(first);
  });
});

test('explain tells the steps in plain words', () => {
  const scope = { groups: [], classes: ['c'], users: [] };
  const timed = policy({
    groups: {
      ks1: group({ extends: 'pupils', identity: 'class' }),
      pupils: group({ default: 'allow', ratings: { games: { kind: 'timed', timetables: ['lunch'] } } }),
      strict: group(),
    },
    timetables: { lunch: [{ days: ['mon'], from: 720, to: 780 }] },
    deny: ['deny.test'],
  });
  const engine = engineWith(timed, index, [override({ id: 'o9', names: ['opened.test'], scope })]);
  const who = client({ group: 'ks1', class: 'c' });
  const told = (host: string): string[] =>
    engine.explain(host, who, NOW, 'http').trace.map((s) => `${s.step} ${s.title}: ${s.detail}`);
  expect(told('arcade.games.test')).toEqual([
    '1 Sealed lists: No sealed list holds arcade.games.test, and ks1 rates none of its categories illegal.',
    '2 Connection: arcade.games.test is a name and gets round nothing that is closed to ks1.',
    '3 Suspension: Neither ks1 nor the device is suspended.',
    '4 Identity: ks1 needs to know the class: c.',
    '7 Overrides: No override for arcade.games.test and this client is in force.',
    '8 Local lists: No list of ks1, pupils, the school names arcade.games.test.',
    '9 Categories: arcade.games.test is in more (games); games is timed (pupils): lunch is closed at Mon, 7 Sept 2026, 11:00. ' +
      'games.test is in games (games); games is timed (pupils): lunch is closed at Mon, 7 Sept 2026, 11:00. games decides.',
  ]);
  expect(told('www.opened.test').at(-1)).toBe(
    '7 Overrides: Override o9 allows www.opened.test until Mon, 7 Sept 2026, 11:01.',
  );
  expect(told('deny.test').at(-1)).toBe(
    '8 Local lists: The school denies deny.test, the nearest rule and the longest name.',
  );
  expect(told('free.test').at(-1)).toBe('10 Default: ks1 allows names that no list knows.');
});
