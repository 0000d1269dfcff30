// Measures what one decision costs, by what decides it, and what it leaves on the heap. Run as `node bench/decide.ts [--json]`.

import { fileURLToPath } from 'node:url';
import { createIndexBuilder } from '../src/blocklist/build-index.ts';
import { openIndex } from '../src/blocklist/open-index.ts';
import type { BlockIndex } from '../src/blocklist/types.ts';
import { createEngine } from '../src/policy/engine.ts';
import type { Client, Engine, GroupModel, Override, PolicyModel } from '../src/policy/types.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

const SEED = { lo: 0x5eed1234, hi: 0x9abc8765 };
const NOW = Date.UTC(2026, 8, 7, 10, 0);
const LISTED = 400_000;
const SAMPLE = 4096;
const ROUNDS = 5;
const ROUND_MS = 100;
const CATEGORIES = ['games', 'shopping', 'news', 'video'];

type Query = { readonly host: string; readonly packet: Uint8Array };

function buildIndex(): BlockIndex {
  const builder = createIndexBuilder({
    seed: SEED,
    toAscii: (s) => s,
    isPublicSuffix: (name) => !name.includes('.'),
  });
  for (const [at, category] of CATEGORIES.entries()) {
    const names = Array.from(
      { length: LISTED / CATEGORIES.length },
      (_, i) => `listed-${i}.${category}-${at}.test`,
    );
    builder.addList({ name: category, category, sealed: false, format: 'domains', match: 'format' }, names);
  }
  return openIndex(builder.finish('bench').buffer);
}

function makePolicy(): PolicyModel {
  const group = (over: Partial<GroupModel>): GroupModel => ({
    label: '',
    ratings: {},
    allow: [],
    deny: [],
    ...over,
  });
  return {
    timezone: 'Europe/London',
    timetables: { lunch: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: 720, to: 780 }] },
    groups: {
      all: group({
        default: 'allow',
        ratings: { news: { kind: 'acceptable' }, video: { kind: 'unacceptable' } },
      }),
      pupils: group({ extends: 'all', ratings: { games: { kind: 'unacceptable' } } }),
      ks2: group({
        extends: 'pupils',
        ratings: { shopping: { kind: 'timed', timetables: ['lunch'] } },
        allow: Array.from({ length: 500 }, (_, i) => `local-${i}.test`),
      }),
      strict: group({ default: 'block' }),
    },
    clients: [{ name: 'ipads', match: ['10.2.0.0/16'], group: 'ks2' }],
    unknown: 'strict',
    allow: [],
    deny: Array.from({ length: 500 }, (_, i) => `school-${i}.test`),
  };
}

function makeOverrides(): Override[] {
  const scope = { groups: ['pupils'], classes: [], users: [] };
  return Array.from({ length: 200 }, (_, i) => ({
    id: `o${i}`,
    names: [`opened-${i}.test`],
    scope,
    from: NOW - 1,
    until: NOW + 1e9,
  }));
}

function queries(host: (i: number) => string): Query[] {
  return Array.from({ length: SAMPLE }, (_, i) => {
    const name = host(i);
    const bytes = [...new Array<number>(12).fill(0)];
    for (const label of name.split('.')) bytes.push(label.length, ...Buffer.from(label));
    return { host: name, packet: Uint8Array.from([...bytes, 0, 0, 1, 0, 1]) };
  });
}

/** Runs `once` over the sample; gives nanoseconds, CPU microseconds and heap bytes for one call, each of the best round. */
function measure(
  sample: readonly Query[],
  once: (query: Query) => unknown,
): { ns: number; cpu: number; heap: number } {
  const pass = (): void => {
    for (let i = 0; i < sample.length; i++) once(sample[i] as Query);
  };
  for (let i = 0; i < 40; i++) pass();
  let ns = Infinity;
  let cpu = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    const cpuBegan = process.cpuUsage();
    let calls = 0;
    do {
      pass();
      calls += sample.length;
    } while (performance.now() - began < ROUND_MS);
    const used = process.cpuUsage(cpuBegan);
    ns = Math.min(ns, ((performance.now() - began) * 1e6) / calls);
    cpu = Math.min(cpu, (used.user + used.system) / calls);
  }
  // few enough calls that the collector does not run in between and hide what was allocated
  let heap = Infinity;
  for (let round = 0; round < 5; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 10; i++) pass();
    const grown = process.memoryUsage().heapUsed - before;
    if (grown >= 0) heap = Math.min(heap, grown / (10 * sample.length));
  }
  return { ns, cpu, heap: heap === Infinity ? 0 : heap };
}

/** Everything about decisions, in about ten seconds; the index holds 400,000 made-up names. */
export async function measureDecide(): Promise<BenchRow[]> {
  const engine: Engine = createEngine({ seed: SEED });
  engine.setPolicy(makePolicy(), 1);
  engine.setIndex(buildIndex(), 1);
  engine.setOverrides(makeOverrides(), 1);
  const client: Client = engine.client('10.2.3.4');
  const profile = engine.profile(client);
  const kinds: [string, string, Query[]][] = [
    ['miss', 'default-allow', queries((i) => `www.site-${i}.example.test`)],
    ['hit, unacceptable', 'unacceptable', queries((i) => `www.listed-${i * 17}.games-0.test`)],
    ['hit, timed', 'timed', queries((i) => `listed-${i * 17}.shopping-1.test`)],
    ['local allow', 'local-allow', queries((i) => `www.local-${i % 500}.test`)],
    ['override', 'override', queries((i) => `www.opened-${i % 200}.test`)],
    ['bypass name', 'bypass', queries((i) => `id-${i}.dns.nextdns.io`)],
  ];
  const rows: BenchRow[] = [];
  for (const [name, reason, sample] of kinds) {
    const wrong = sample.find(({ packet }) => engine.decideWire(packet, 12, client, NOW).reason !== reason);
    if (wrong !== undefined) throw new Error(`${wrong.host} is not decided by ${reason}`);
    const known = measure(sample, ({ packet }) => {
      engine.hash(packet, 12);
      return engine.decideHashed(profile, client, NOW);
    });
    rows.push({ name: `decide, asked before: ${name}`, figure: known.ns, unit: 'ns', cpuMicros: known.cpu });
    // A client of a kind that was never seen, each time: nothing is remembered.
    let kind = 1e6;
    const { ns, cpu, heap } = measure(sample, ({ packet }) => {
      engine.hash(packet, 12);
      return engine.decideHashed(kind++, client, NOW);
    });
    rows.push({ name: `decide, new: ${name}`, figure: ns, unit: 'ns', cpuMicros: cpu });
    rows.push({ name: `decide, new: ${name}, heap`, figure: heap, unit: 'bytes' });
  }
  const hits = kinds[1]?.[2] ?? [];
  const byHost = measure(hits, ({ host }) => engine.decideHost(host, client, NOW, 'http'));
  rows.push({ name: 'decide by host: hit', figure: byHost.ns, unit: 'ns', cpuMicros: byHost.cpu });
  const explained = measure(hits.slice(0, 256), ({ host }) => engine.explain(host, client, NOW, 'http'));
  rows.push({ name: 'explain: hit', figure: explained.ns, unit: 'ns', cpuMicros: explained.cpu });
  const known = measure(hits, () => engine.client('10.2.3.4'));
  rows.push({ name: 'client of a known address', figure: known.ns, unit: 'ns', cpuMicros: known.cpu });
  let next = 0;
  const fresh = measure(hits, () => engine.client(`10.2.${(next >> 8) & 255}.${next++ & 255}`));
  rows.push({
    name: 'client of 65,536 addresses in turn',
    figure: fresh.ns,
    unit: 'ns',
    cpuMicros: fresh.cpu,
  });
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = await measureDecide();
  console.log(process.argv.includes('--json') ? JSON.stringify(rows) : tableOf(rows));
}
