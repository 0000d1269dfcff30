// Small policies, indexes and packets for the tests of this room; nothing is mocked.

import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import type { BlockIndex, Seed } from '../../src/blocklist/types.ts';
import { createEngine } from '../../src/policy/engine.ts';
import type { Client, Engine, GroupModel, Override, PolicyModel } from '../../src/policy/types.ts';

export const SEED: Seed = { lo: 0x12345678, hi: 0x9abcdef0 };
export const NOW = Date.UTC(2026, 8, 7, 10, 0); // a Monday, 11:00 in London

export type ListSpec = {
  category: string;
  names: string[];
  sealed?: boolean;
  format?: 'domains' | 'adblock' | 'hosts' | 'ips';
};

export function buildIndex(lists: Record<string, ListSpec>, seed: Seed = SEED): BlockIndex {
  const builder = createIndexBuilder({
    seed,
    toAscii: (s) => s,
    isPublicSuffix: (name) => !name.includes('.'),
  });
  for (const [name, { category, names, sealed = false, format = 'domains' }] of Object.entries(lists))
    builder.addList({ name, category, sealed, format, match: 'format' }, names);
  return openIndex(builder.finish('test').buffer);
}

export function group(over: Partial<GroupModel> = {}): GroupModel {
  return { label: 'Group', ratings: {}, allow: [], deny: [], ...over };
}

export function policy(over: Partial<PolicyModel> = {}): PolicyModel {
  return {
    timezone: 'Europe/London',
    timetables: {},
    groups: { strict: group({ default: 'block' }) },
    clients: [],
    unknown: 'strict',
    allow: [],
    deny: [],
    ...over,
  };
}

export function override(over: Partial<Override> & { names: string[] }): Override {
  return {
    id: 'o1',
    scope: { groups: [], classes: [], users: [] },
    from: NOW - 1000,
    until: NOW + 60_000,
    ...over,
  };
}

export function client(over: Partial<Client> = {}): Client {
  return {
    address: '10.0.0.1',
    device: null,
    group: 'strict',
    class: null,
    user: null,
    inCharge: null,
    ...over,
  };
}

export function engineWith(
  model: PolicyModel,
  index: BlockIndex,
  overrides: readonly Override[] = [],
  onError: (error: unknown) => void = (error) => {
    throw error;
  },
): Engine {
  const engine = createEngine({ seed: SEED, onError });
  engine.setPolicy(model, 1);
  engine.setIndex(index, 1);
  engine.setOverrides(overrides, 1);
  return engine;
}

/** A name in DNS wire form behind twelve bytes of header. */
export function wire(name: string): Uint8Array {
  const bytes: number[] = new Array<number>(12).fill(0);
  for (const label of name === '' ? [] : name.split('.')) bytes.push(label.length, ...Buffer.from(label));
  bytes.push(0, 0, 1, 0, 1);
  return Uint8Array.from(bytes);
}

export const WIRE_AT = 12;
