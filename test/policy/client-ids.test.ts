import { describe, expect, test } from 'vitest';
import { readMatchId, resolveClient } from '../../src/policy/clients.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { buildIndex, engineWith, group, policy, SEED } from './fixture.ts';

const model = policy({
  groups: {
    ks1: group(),
    ks2: group(),
    staff: group({ default: 'allow' }),
    strict: group({ default: 'block' }),
  },
  clients: [
    { name: 'site', match: ['10.0.0.0/8'], group: 'ks2' },
    { name: 'tablet', match: ['id:tablet-7', '10.9.0.7'], group: 'ks1', class: 'hedgehogs' },
    { name: 'head', match: ['id:Quiet-Otter-4821'], group: 'staff' },
    { name: 'late', match: ['id:tablet-7'], group: 'staff' },
  ],
});
const compiled = compilePolicy(model, SEED);

describe('who a client id is', () => {
  test.each([
    ['10.1.1.1', 'tablet-7', 'tablet', 'ks1', 'hedgehogs'],
    ['10.1.1.1', 'TABLET-7', 'tablet', 'ks1', 'hedgehogs'],
    ['192.0.2.1', 'quiet-otter-4821', 'head', 'staff', null],
    ['10.9.0.7', 'quiet-otter-4821', 'head', 'staff', null],
    ['10.1.1.1', 'unheard-of', 'site', 'ks2', null],
    ['192.0.2.1', 'unheard-of', null, 'strict', null],
    ['10.9.0.7', null, 'tablet', 'ks1', 'hedgehogs'],
    ['10.1.1.1', '', 'site', 'ks2', null],
    ['10.1.1.1', 'id:tablet-7', 'site', 'ks2', null],
    ['10.1.1.1', '__proto__', 'site', 'ks2', null],
  ])('F01 F07 %s with the id %s is %s in %s', (address, id, device, groupName, className) => {
    const client = resolveClient(compiled, address, id);
    expect(client).toMatchObject({ address, device, group: groupName, class: className });
    expect(resolveClient(compiled, address, id)).toBe(client);
    // Neither the one nor the other is remembered for the bare address.
    expect(resolveClient(compiled, '10.1.1.1').device).toBe('site');
  });

  test('a flood of unknown ids makes no clients', () => {
    const flooded = compilePolicy(model, SEED);
    for (let i = 0; i < 50_000; i++) resolveClient(flooded, '10.1.1.1', `made-up-${i}`);
    expect(flooded.clients.cache.recent.size).toBe(1);
  });

  test('F16 the engine decides by the id', () => {
    const engine = engineWith(model, buildIndex({ l: { category: 'games', names: ['games.test'] } }));
    const verdict = (id: string | null) =>
      engine.decideHost('free.test', engine.client('192.0.2.1', id), 0, 'dns').action;
    expect([verdict('quiet-otter-4821'), verdict('nobody'), verdict(null)]).toEqual([
      'allow',
      'block',
      'block',
    ]);
  });

  test.each([
    ['id:a', 'a'],
    ['ID:Tablet-7', 'tablet-7'],
    [`id:${'x'.repeat(63)}`, 'x'.repeat(63)],
    [`id:${'x'.repeat(64)}`, null],
    ['id:', null],
    ['id:-a', null],
    ['id:a-', null],
    ['id:a_b', null],
    ['id:a.b', null],
    ['10.0.0.1', null],
  ])('%s holds the id %s', (text, id) => {
    expect(readMatchId(text)).toBe(id);
  });
});
