import { expect, test } from 'vitest';
import fc from 'fast-check';
import { createEngine } from '../../src/policy/engine.ts';
import { WEEKDAYS } from '../../src/policy/timetable.ts';
import type { Client, GroupModel, Override, PolicyModel, Rating } from '../../src/policy/types.ts';
import { buildIndex, NOW, SEED, wire, WIRE_AT, type ListSpec } from './fixture.ts';
import { addressBytes, parseAddress } from '../../src/policy/networks.ts';
import { addressOracle, oracle } from './oracle.ts';

const NAMES = [
  'a.test',
  'b.test',
  'x.a.test',
  'y.x.a.test',
  'y.b.test',
  'aa.test',
  'a.other',
  'dns.google',
  'x.dns.google',
  'mask.icloud.com',
  'test.a.test',
  'www.google.com',
  'm.youtube.com',
  'search.yahoo.com',
  'yahoo.com',
  'uk.search.yahoo.com',
];
const ADDRESSES = ['192.0.2.1', '192.0.2.7', '192.0.2.8', '198.51.100.1', '2001:db8::1', '2001:db8::ff'];
const RANGES = [
  '192.0.2.0-192.0.2.255',
  '192.0.2.7-192.0.2.7',
  '192.0.2.2-192.0.2.8',
  '2001:db8::-2001:db8::7',
  '2001:db8::-2001:db8:ffff::',
];
const CATEGORIES = ['games', 'shopping', 'illegal', 'news'];
const GROUPS = ['g0', 'g1', 'g2', 'g3'];
const USERS = ['u', 'v'];
const CLASSES = ['c', 'd'];
const TIMETABLES = ['t0', 't1'];

const some = <T>(values: readonly T[], maxLength = 3): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { maxLength });
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const rarely = <T>(value: fc.Arbitrary<T>, weight = 1): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight, arbitrary: value });
const fewNames = rarely(some(NAMES, 2), 4).map((names) => names ?? []);
const time = fc.constantFrom(NOW - 3_600_000, NOW - 1, NOW, NOW + 1, NOW + 90_000, NOW + 86_400_000);
const suspension = fc.record({ until: fc.option(time, { nil: null }), reason: fc.constant('r') });

const rating: fc.Arbitrary<Rating> = fc.oneof(
  fc.record({ kind: fc.constantFrom('acceptable', 'permission', 'unacceptable', 'unacceptable', 'illegal') }),
  fc.record({ kind: fc.constant('timed' as const), timetables: some(TIMETABLES) }),
  fc.record({ kind: fc.constant('nominated' as const), users: some(USERS) }),
);
const groupModel: fc.Arbitrary<GroupModel> = fc.record({
  label: fc.constant('g'),
  extends: maybe(fc.constantFrom(...GROUPS, 'missing')),
  identity: maybe(fc.constantFrom('network', 'class')),
  default: maybe(fc.constantFrom('allow', 'block')),
  bypass: maybe(fc.constantFrom('allow', 'allow', 'block')),
  safeSearch: maybe(fc.constantFrom('strict', 'strict', 'moderate', 'off')),
  video: maybe(fc.constantFrom('strict', 'moderate', 'off')),
  suspended: rarely(suspension),
  ratings: fc.dictionary(fc.constantFrom(...CATEGORIES), rating, { noNullPrototype: true }),
  allow: fewNames,
  deny: fewNames,
});
const slot = fc.record({
  days: fc.subarray([...WEEKDAYS], { minLength: 1 }),
  from: fc.nat(700),
  to: fc.integer({ min: 701, max: 1440 }),
});
const model: fc.Arbitrary<PolicyModel> = fc
  .tuple(
    fc.tuple(groupModel, groupModel, groupModel, groupModel),
    fc.array(slot, { maxLength: 2 }),
    fc.array(slot, { maxLength: 2 }),
    rarely(suspension),
    fewNames,
    fewNames,
  )
  .map(([groups, t0, t1, suspended, allow, deny]) => ({
    timezone: 'UTC',
    timetables: { t0, t1 },
    groups: Object.fromEntries(GROUPS.map((name, at) => [name, groups[at] as GroupModel])),
    clients: [{ name: 'tablet', match: ['10.0.0.1'], group: 'g0', suspended }],
    unknown: 'g3',
    allow,
    deny,
  }));
const list: fc.Arbitrary<ListSpec> = fc.record({
  category: fc.constantFrom('games', 'games', 'shopping', 'shopping', 'news', 'news', 'illegal'),
  // an index of nothing cannot be built, so that each list holds one name that is never asked for
  names: some(NAMES, 4).map((names) => [...names, 'never.asked']),
  sealed: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const grant: fc.Arbitrary<Override> = fc.record({
  id: fc.uuid(),
  names: some(NAMES),
  scope: fc.record({ groups: some(GROUPS), classes: some(CLASSES), users: some(USERS) }),
  from: time,
  // ends differ, so that the one that ends last is one
  until: fc.integer({ min: NOW - 100, max: NOW + 1_000_000 }),
});
const client: fc.Arbitrary<Client> = fc.record({
  address: fc.constant('10.0.0.1'),
  device: fc.constantFrom(null, 'tablet'),
  group: fc.constantFrom(...GROUPS, 'gone'),
  class: fc.constantFrom(null, ...CLASSES),
  user: fc.constantFrom(null, ...USERS),
  inCharge: fc.constant(null),
});

test('the engine agrees with a plain reading of the order, by name, by wire and in explain (property)', () => {
  const reasons = new Map<string, number>();
  fc.assert(
    fc.property(
      model,
      fc.array(list, { minLength: 1, maxLength: 5 }),
      fc.uniqueArray(grant, { maxLength: 4, selector: (o) => o.until }),
      fc.array(client, { minLength: 1, maxLength: 3 }),
      fc.array(time, { minLength: 1, maxLength: 3 }),
      (policy, specs, overrides, clients, times) => {
        const lists = Object.fromEntries(specs.map((spec, at) => [`list${at}`, spec]));
        const engine = createEngine({
          seed: { lo: 1, hi: 2 },
          onError: (error) => expect.fail(String(error)),
        });
        engine.setOverrides(overrides, 1);
        engine.setPolicy(policy, 1);
        engine.setIndex(buildIndex(lists, SEED), 1);
        for (const who of clients)
          for (const now of times)
            for (const host of [...NAMES, 'free.test', 'z.y.x.a.test']) {
              const expected = oracle(policy, lists, overrides, host, who, now);
              const verdict = engine.decideHost(host, who, now, 'http');
              expect(verdict).toMatchObject(expected);
              expect(engine.decideWire(wire(host), WIRE_AT, who, now)).toEqual(verdict);
              const explained = engine.explain(host, who, now, 'http');
              expect(explained.verdict).toEqual(verdict);
              const last = explained.trace.at(-1);
              expect(last?.outcome).toBe('decided');
              expect(explained.trace.slice(0, -1).every((step) => step.outcome === 'passed')).toBe(true);
              const follows = last?.step === 11;
              if (verdict.reason === 'safe-search') expect(follows).toBe(true);
              const steps = explained.trace.length - Number(follows);
              expect(explained.trace.map((step) => step.step)).toEqual(
                [1, 2, 3, 4, 7, 8, 9, 10].slice(0, steps).concat(follows ? [11] : []),
              );
              reasons.set(verdict.reason, (reasons.get(verdict.reason) ?? 0) + 1);
            }
      },
    ),
    { numRuns: 120 },
  );
  // the property says little about steps that were never reached
  for (const reason of [
    'illegal',
    'bypass',
    'suspended',
    'identity-required',
    'override',
    'local-allow',
    'local-deny',
    'unacceptable',
    'permission',
    'nominated',
    'timed',
    'unrated',
    'acceptable',
    'default-allow',
    'default-block',
    'safe-search',
  ])
    expect(reasons.get(reason) ?? 0, reason).toBeGreaterThan(0);
}, 60_000);

test('the engine agrees with a plain reading of the order on addresses, asked for and found in answers (property)', () => {
  const reasons = new Map<string, number>();
  const count = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const fewHosts = rarely(some([...ADDRESSES, 'a.test'], 2), 4).map((names) => names ?? []);
  const addressModel = fc
    .tuple(
      model,
      fc.array(maybe(fc.constantFrom('allow', 'block')), { minLength: 4, maxLength: 4 }),
      fewHosts,
      fewHosts,
    )
    .map(([policy, direct, allow, deny]): PolicyModel => ({
      ...policy,
      allow,
      groups: Object.fromEntries(
        Object.entries(policy.groups).map(([name, group], at) => [
          name,
          { ...group, directIp: direct[at], deny: at === 0 ? deny : [] },
        ]),
      ),
    }));
  const ranges: fc.Arbitrary<ListSpec> = fc.record({
    category: fc.constantFrom(...CATEGORIES, 'games', 'news'),
    format: fc.constant('ips' as const),
    names: some(RANGES, 3).map((names) => [...names, '203.0.113.0-203.0.113.9']),
    sealed: fc.oneof(
      { weight: 8, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  });
  const literals: fc.Arbitrary<ListSpec> = fc.record({
    category: fc.constantFrom(...CATEGORIES),
    names: some(ADDRESSES, 2).map((names) => [...names, 'never.asked']),
  });
  const addressGrant = fc
    .tuple(grant, some(ADDRESSES))
    .map(([given, names]): Override => ({ ...given, names }));
  fc.assert(
    fc.property(
      addressModel,
      fc.array(fc.oneof({ weight: 3, arbitrary: ranges }, { weight: 1, arbitrary: literals }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.uniqueArray(addressGrant, { maxLength: 3, selector: (o) => o.until }),
      fc.array(client, { minLength: 1, maxLength: 3 }),
      time,
      (policy, specs, overrides, clients, now) => {
        const lists = Object.fromEntries(specs.map((spec, at) => [`list${at}`, spec]));
        const engine = createEngine({
          seed: { lo: 1, hi: 2 },
          onError: (error) => expect.fail(String(error)),
        });
        engine.setOverrides(overrides, 1);
        engine.setPolicy(policy, 1);
        engine.setIndex(buildIndex(lists, SEED), 1);
        expect(engine.hasAddressLists()).toBe(specs.some(({ format }) => format === 'ips'));
        for (const who of clients)
          for (const host of ADDRESSES) {
            const asked = engine.decideHost(host, who, now, 'http');
            expect(asked).toMatchObject(oracle(policy, lists, overrides, host, who, now));
            expect(engine.explain(host, who, now, 'http').verdict).toBe(asked);
            const bytes = addressBytes(parseAddress(host)!);
            const expected = addressOracle(policy, lists, overrides, host, who, now);
            const found = engine.decideAddress(bytes, who, now);
            if (expected === null) expect(found).toBeNull();
            else expect(found).toMatchObject(expected);
            count(`asked ${asked.reason}`);
            count(`found ${found?.reason}`);
          }
      },
    ),
    { numRuns: 150 },
  );
  for (const reason of [
    'illegal',
    'direct-ip',
    'override',
    'local-allow',
    'local-deny',
    'unacceptable',
    'acceptable',
  ])
    expect(reasons.get(`asked ${reason}`) ?? 0, `asked ${reason}`).toBeGreaterThan(0);
  for (const reason of [
    'undefined',
    'illegal',
    'override',
    'local-allow',
    'unacceptable',
    'timed',
    'acceptable',
  ])
    expect(reasons.get(`found ${reason}`) ?? 0, `found ${reason}`).toBeGreaterThan(0);
  expect(reasons.get('found direct-ip')).toBeUndefined();
}, 60_000);
