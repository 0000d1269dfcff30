// Measures the index at a size that no real list has yet: made-up names and addresses streamed into the builder, then the
// snapshot written, read and searched. Run as `node bench/big-index.ts [--json] [NAMES]`; five million names unless told.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIndexBuilder } from '../src/blocklist/build-index.ts';
import { findAddressSet } from '../src/blocklist/lookup-address.ts';
import type { BlockIndex, ListFormat, ListSource } from '../src/blocklist/types.ts';
import { readSnapshot, writeSnapshot } from '../src/workers/snapshot-file.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

const SEED = { lo: 0x5eed1234, hi: 0x9abc8765 };
const MB = 1 << 20;
const CHUNK_LINES = 5_000;
const V4_RANGES = 100_000;
const V6_RANGES = 50_000;
const TLDS = ['com', 'net', 'org', 'co.uk', 'de', 'xyz', 'info', 'top'];

const source = (name: string, format: ListFormat): ListSource => ({
  name,
  category: name,
  sealed: false,
  format,
  match: 'format',
});

/** Numbers that look random and are the same in every run. */
function createNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** Text of `count` lines in pieces, as a file is read. */
function* pieces(count: number, line: (i: number) => string): Iterable<string> {
  for (let at = 0; at < count; at += CHUNK_LINES) {
    let text = '';
    for (let i = at; i < Math.min(count, at + CHUNK_LINES); i++) text += `${line(i)}\n`;
    yield text;
  }
}

type Used = { readonly ms: number; readonly cpuMs: number };

function timed<T>(once: () => T): Used & { readonly value: T } {
  const cpu = process.cpuUsage();
  const began = performance.now();
  const value = once();
  const used = process.cpuUsage(cpu);
  return { value, ms: performance.now() - began, cpuMs: (used.user + used.system) / 1000 };
}

/** Nanoseconds of CPU for each of the addresses, best of five rounds. */
function timeAddresses(index: BlockIndex, addresses: readonly Uint8Array[]): number {
  const rounds = Math.ceil(2e6 / addresses.length);
  let best = Infinity;
  let held = 0;
  for (let attempt = 0; attempt < 5; attempt++) {
    const { cpuMs } = timed(() => {
      for (let round = 0; round < rounds; round++)
        for (let i = 0; i < addresses.length; i++)
          held += findAddressSet(index, addresses[i] as Uint8Array) > 0 ? 1 : 0;
    });
    best = Math.min(best, (cpuMs * 1e6) / (rounds * addresses.length));
  }
  if (held < 0) throw new Error('unreachable');
  return best;
}

function measureBigIndex(names: number): BenchRow[] {
  const rows: BenchRow[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'schoolgate-bench-'));
  const file = join(dir, 'index.snapshot');
  const number = createNumbers(1);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  try {
    const built = timed(() => {
      const builder = createIndexBuilder({
        seed: SEED,
        toAscii: (s) => s,
        isPublicSuffix: (name) => !name.includes('.'),
      });
      const feed = (list: ListSource, count: number, line: (i: number) => string): void => {
        const sink = builder.begin(list);
        for (const text of pieces(count, line)) {
          sink.chunk(text);
          peak = Math.max(peak, process.memoryUsage.rss());
        }
        sink.end();
      };
      feed(source('names', 'domains'), names, (i) => {
        const word = number().toString(36);
        return `${(i & 3) === 0 ? 'www.' : ''}${word}-${i.toString(36)}.${TLDS[number() & 7]}`;
      });
      feed(source('v4', 'ips'), V4_RANGES, () => {
        const address = number();
        return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
      });
      feed(source('v6', 'ips'), V6_RANGES, () => {
        const [a, b] = [number(), number()];
        return `2${(a >>> 20).toString(16)}:${(a & 0xffff).toString(16)}:${(b >>> 16).toString(16)}::/48`;
      });
      const index = builder.finish('bench');
      peak = Math.max(peak, process.memoryUsage.rss());
      return index;
    });
    const { buffer, bytes, ranges } = built.value;
    rows.push(
      { name: 'distinct names', figure: built.value.names, unit: 'names' },
      { name: 'ranges of addresses', figure: ranges, unit: 'ranges' },
      {
        name: 'build, with making the text',
        figure: built.cpuMs / 1000,
        unit: 's of CPU',
        cpuMicros: (built.cpuMs * 1000) / names,
        memoryMb: (peak - before) / MB,
      },
      { name: 'index', figure: bytes / MB, unit: 'MB', memoryMb: bytes / MB },
    );
    const written = timed(() => writeSnapshot(file, buffer));
    const read = timed(() => readSnapshot(file, 0));
    if (read.value === null || !('index' in read.value)) throw new Error('the snapshot cannot be read');
    const { index } = read.value;
    const addressBytes = (index.v4.count * 3 + index.v6.count * 9) * 4;
    rows.push(
      {
        name: 'index per name, without addresses',
        figure: (bytes - addressBytes) / index.names,
        unit: 'bytes',
      },
      { name: 'bytes of a range, both families', figure: addressBytes / ranges, unit: 'bytes' },
      { name: 'snapshot', figure: statSync(file).size / MB, unit: 'MB' },
      { name: 'snapshot written', figure: written.cpuMs, unit: 'ms of CPU' },
      { name: 'snapshot read, checked and opened', figure: read.cpuMs, unit: 'ms of CPU' },
      { name: 'the same by the clock', figure: read.ms, unit: 'ms' },
    );
    const asked = (size: 4 | 16, listed: boolean): Uint8Array[] =>
      Array.from({ length: 50_000 }, (_, i) => {
        const table = size === 4 ? index.v4 : index.v6;
        const address = new Uint8Array(size);
        const view = new DataView(address.buffer);
        const at = (number() % table.count) * (size / 4);
        for (let word = 0; word < size / 4; word++)
          view.setUint32(word * 4, listed ? (table.first[at + word] as number) : number() ^ i);
        return address;
      });
    for (const [size, family] of [
      [4, 'IPv4'],
      [16, 'IPv6'],
    ] as const)
      for (const listed of [true, false])
        rows.push({
          name: `address, ${family}, ${listed ? 'listed' : 'free'}`,
          figure: timeAddresses(index, asked(size, listed)),
          unit: 'ns',
        });
    return rows;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Five million names, for the runner. */
export const measureBig = (): BenchRow[] => measureBigIndex(5_000_000);

if (import.meta.main) {
  const args = process.argv.slice(2);
  const rows = measureBigIndex(Number(args.find((arg) => !arg.startsWith('--')) ?? 5_000_000));
  process.stdout.write(args.includes('--json') ? `${JSON.stringify(rows)}\n` : `${tableOf(rows)}\n`);
}
