import { describe, expect, test } from 'vitest';
import { resolveClient } from '../../src/policy/clients.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { buildIndex, engineWith, group, policy, SEED } from './fixture.ts';

const model = policy({
  groups: { ks1: group({ identity: 'class' }), ks2: group(), staff: group(), strict: group() },
  clients: [
    { name: 'site', match: ['10.0.0.0/8', '2001:db8::/32'], group: 'ks2' },
    { name: 'year-2', match: ['10.2.0.0/24', '2001:db8:2::/48'], group: 'ks1', class: 'hedgehogs' },
    { name: 'office', match: ['10.2.0.9'], group: 'staff' },
    { name: 'late', match: ['10.2.0.0/24', 'nonsense'], group: 'staff' },
  ],
});
const compiled = compilePolicy(model, SEED);

describe('who an address is', () => {
  test.each([
    ['10.2.0.9', 'office', 'staff', null],
    ['10.2.0.8', 'year-2', 'ks1', 'hedgehogs'],
    ['10.3.0.8', 'site', 'ks2', null],
    ['::ffff:10.2.0.9', 'office', 'staff', null],
    ['2001:db8:2::5', 'year-2', 'ks1', 'hedgehogs'],
    ['2001:DB8:3::5', 'site', 'ks2', null],
    ['192.0.2.1', null, 'strict', null],
    ['fe80::1%eth0', null, 'strict', null],
    ['', null, 'strict', null],
    ['not an address', null, 'strict', null],
  ])('F01 F07 %s is %s in %s', (address, device, groupName, className) => {
    expect(resolveClient(compiled, address)).toMatchObject({
      device,
      group: groupName,
      class: className,
      user: null,
      inCharge: null,
    });
  });

  test('an address is written in one way', () => {
    expect(resolveClient(compiled, '::ffff:10.2.0.9').address).toBe('10.2.0.9');
    expect(resolveClient(compiled, '2001:DB8:0:0::5').address).toBe('2001:db8::5');
    expect(resolveClient(compiled, 'x'.repeat(5000)).address).toHaveLength(64);
  });

  test('the same address is the same object, and a flood of addresses is forgotten', () => {
    const policyOfFlood = compilePolicy(model, SEED);
    const first = resolveClient(policyOfFlood, '10.2.0.9');
    expect(resolveClient(policyOfFlood, '10.2.0.9')).toBe(first);
    for (let i = 0; i < 100_000; i++) {
      resolveClient(policyOfFlood, `2001:db8::${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}`);
      if (i % 1000 === 0) expect(resolveClient(policyOfFlood, '10.2.0.9')).toBe(first); // who keeps asking stays
    }
    const { recent, older } = policyOfFlood.clients.cache;
    expect(recent.size + older.size).toBeLessThanOrEqual(2 * 8192);
  });
});

describe('clients made up for explain', () => {
  const engine = engineWith(model, buildIndex({ l: { category: 'games', names: ['games.test'] } }));
  test.each([
    [{ group: 'ks1' }, { group: 'ks1', class: '', user: null }],
    [{ group: 'ks2' }, { group: 'ks2', class: null }],
    [{ class: 'hedgehogs' }, { group: 'ks1', class: 'hedgehogs' }],
    [
      { group: 'ks2', class: 'hedgehogs' },
      { group: 'ks2', class: 'hedgehogs' },
    ],
    [{ user: 'someone' }, { group: 'strict', class: null, user: 'someone' }],
    [{}, { group: 'strict', class: null, user: null }],
    [{ group: 'nobody' }, null],
    [{ class: 'nobody' }, null],
    [{ group: 'ks2', class: 'nobody' }, null],
  ])('%j', (who, expected) => {
    const made = engine.clientFor(who);
    if (expected === null) expect(made).toBeNull();
    else expect(made).toMatchObject(expected);
  });

  test('F16 a group alone counts as identified', () => {
    const made = engine.clientFor({ group: 'ks1' });
    if (made === null) throw new Error('no client');
    expect(engine.explain('free.test', made, 0, 'http').verdict.reason).toBe('default-block');
  });
});
