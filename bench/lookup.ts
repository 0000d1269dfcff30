// Measures the block index on real lists: size, build, lookups; and holds every listed and every popular name against
// an exact oracle. Run as `node bench/lookup.ts [--json] [LISTS-DIRECTORY]`; the directory may also come as SCHOOLGATE_LISTS.

import { createReadStream, existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { domainToASCII, fileURLToPath } from 'node:url';
import { createGunzip, gunzipSync } from 'node:zlib';
import { getPublicSuffix } from 'tldts';
import { createIndexBuilder } from '../src/blocklist/build-index.ts';
import type { BuiltIndex } from '../src/blocklist/build-index.ts';
import { createNameHashes, hashName, hashWireName } from '../src/blocklist/hash.ts';
import { createMatches, lookup } from '../src/blocklist/lookup.ts';
import { canonicalName } from '../src/blocklist/names.ts';
import { openIndex } from '../src/blocklist/open-index.ts';
import { createListParser } from '../src/blocklist/parse-list.ts';
import type { BlockIndex, ListSource, NameHashes } from '../src/blocklist/types.ts';
import { createOracle } from '../test/blocklist/oracle.ts';
import type { Oracle } from '../test/blocklist/oracle.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

const DEFAULT_LISTS = fileURLToPath(new URL('../../shared/data/blocklists', import.meta.url));
const FOLDERS: Readonly<Record<string, RegExp>> = {
  ut1: /\.domains\.txt(\.gz)?$/,
  blocklistproject: /\.(hosts|domains|adblock)\.txt(\.gz)?$|\.dnsmasq\.conf(\.gz)?$/,
  shadowwhisperer: /\.txt(\.gz)?$/,
  sinfonietta: /\.hosts\.txt(\.gz)?$/,
  'bon-appetit': /\.domains\.txt(\.gz)?$/,
};
const SEED = { lo: 0x5eed1234, hi: 0x9abc8765 };
const PSL = { allowPrivateDomains: true, extractHostname: false, validateHostname: false };
const isPublicSuffix = (name: string): boolean => getPublicSuffix(name, PSL) === name;
const MB = 1 << 20;

export type ListFile = { readonly file: string; readonly source: ListSource };

export function listFiles(listsDir: string): ListFile[] {
  const files = Object.entries(FOLDERS).flatMap(([folder, wanted]) => {
    const path = join(listsDir, folder);
    if (!existsSync(path)) return [];
    return readdirSync(path)
      .filter((name) => wanted.test(name))
      .map((name) => join(path, name));
  });
  if (files.length === 0)
    throw new Error(`${listsDir}: no lists here; name a directory with ${Object.keys(FOLDERS).join(', ')}`);
  return files.map((file) => {
    const name = basename(file).replace(/\.gz$/, '');
    return { file, source: { name, category: name, sealed: false, format: 'auto', match: 'format' } };
  });
}

/** The file's text in pieces, unpacked, as the list-builder thread reads it. */
async function* textOf(file: string): AsyncIterable<string> {
  const stream = createReadStream(file, { highWaterMark: 256 << 10 });
  const text = file.endsWith('.gz') ? stream.pipe(createGunzip()) : stream;
  text.setEncoding('utf8');
  for await (const piece of text) yield piece as string;
}

async function build(files: readonly ListFile[], rows: BenchRow[]): Promise<BuiltIndex> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const builder = createIndexBuilder({ seed: SEED, toAscii: domainToASCII, isPublicSuffix });
  let taken = 0;
  let skipped = 0;
  let textMs = 0;
  for (const { file, source } of files) {
    const sink = builder.begin(source);
    for await (const text of textOf(file)) {
      const before = performance.now();
      sink.chunk(text);
      textMs += performance.now() - before;
      peak = Math.max(peak, process.memoryUsage.rss());
    }
    const ending = performance.now();
    const report = sink.end();
    textMs += performance.now() - ending;
    taken += report.taken;
    skipped += report.skipped;
  }
  const finishing = performance.now();
  const built = builder.finish('bench');
  textMs += performance.now() - finishing;
  const ms = performance.now() - began;
  const cpu = process.cpuUsage(cpuBefore);
  peak = Math.max(peak, process.memoryUsage.rss());
  const added = (peak - before) / MB;
  rows.push(
    { name: 'lists read', figure: files.length, unit: 'files' },
    { name: 'entries taken', figure: taken, unit: 'entries' },
    { name: 'entries skipped', figure: skipped, unit: 'entries' },
    { name: 'distinct names', figure: built.names, unit: 'names' },
    { name: 'index', figure: built.bytes / MB, unit: 'MB', memoryMb: built.bytes / MB },
    { name: 'index per name', figure: built.bytes / built.names, unit: 'bytes' },
    {
      name: 'build',
      figure: ms / 1000,
      unit: 's',
      cpuMicros: (cpu.user + cpu.system) / taken,
      memoryMb: added,
    },
    {
      name: 'build per million entries, files read and unpacked',
      figure: ms / 1000 / (taken / 1e6),
      unit: 's',
    },
    { name: 'build per million entries, from text', figure: textMs / 1000 / (taken / 1e6), unit: 's' },
    { name: 'build peak beyond the index', figure: added - built.bytes / MB, unit: 'MB' },
  );
  return built;
}

/** Nanoseconds for one name: hash and look up, best of three rounds, at least a million names a round. */
function timeLookups(
  index: BlockIndex,
  names: readonly string[],
  wire: boolean,
): Pick<BenchRow, 'figure' | 'cpuMicros'> {
  const hashes = createNameHashes();
  const matches = createMatches();
  const packets = wire ? names.map(toWire) : [];
  const rounds = Math.ceil(1e6 / names.length);
  let best = { figure: Infinity, cpuMicros: Infinity };
  for (let attempt = 0; attempt < 3; attempt++) {
    const cpuBefore = process.cpuUsage();
    const began = performance.now();
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < names.length; i++) {
        if (wire) hashWireName(index.seed, packets[i] as Uint8Array, 0, hashes);
        else hashName(index.seed, names[i] as string, hashes);
        lookup(index, hashes, matches);
      }
    }
    const ns = ((performance.now() - began) * 1e6) / (rounds * names.length);
    const cpu = process.cpuUsage(cpuBefore);
    if (ns < best.figure) best = { figure: ns, cpuMicros: (cpu.user + cpu.system) / (rounds * names.length) };
  }
  return best;
}

function toWire(name: string): Uint8Array {
  const labels = name.split('.').map((label) => [label.length, ...Buffer.from(label, 'latin1')]);
  return Uint8Array.from([...labels.flat(), 0]);
}

async function buildOracle(files: readonly ListFile[]): Promise<Oracle> {
  const oracle = createOracle();
  for (const [list, { file, source }] of files.entries()) {
    const parser = createListParser({
      source,
      toAscii: domainToASCII,
      isPublicSuffix,
      // a copy, because a slice of a file's text would keep all of it alive
      onEntry: (name, kind) => oracle.add(list, Buffer.from(name, 'latin1').toString('latin1'), kind),
      onRange: () => undefined,
    });
    let rest = '';
    for await (const text of textOf(file)) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) parser.line(line);
    }
    if (rest !== '') parser.line(rest);
    parser.end();
  }
  return oracle;
}

/** How many of the names the index answers other than the oracle does, by text or by wire form. */
function countMismatches(index: BlockIndex, oracle: Oracle, names: Iterable<string>): number {
  const hashes: NameHashes = createNameHashes();
  const matches = createMatches();
  let wrong = 0;
  let turn = 0;
  for (const name of names) {
    const expected = oracle.matches(name).sort().join();
    if ((turn++ & 1) === 0) hashName(index.seed, name, hashes);
    else hashWireName(index.seed, toWire(name), 0, hashes);
    const count = lookup(index, hashes, matches);
    const got: string[] = [];
    for (let i = 0; i < count; i++) got.push(`${matches.lists[i]}:${matches.suffix[i]}`);
    if (got.sort().join() !== expected) wrong++;
  }
  return wrong;
}

export function popularNames(listsDir: string): string[] {
  const file = join(listsDir, '..', 'popular-domains.txt.gz');
  if (!existsSync(file)) return [];
  return gunzipSync(readFileSync(file))
    .toString('latin1')
    .split('\n')
    .map((line) => canonicalName(line.slice(line.indexOf(',') + 1).trim(), domainToASCII))
    .filter((name) => name !== null);
}

function* below(names: Iterable<string>): Iterable<string> {
  for (const name of names) if (name.length < 250) yield `x.${name}`;
}

/** Names that differ from a listed one in a letter: near misses, which a weak hash would be the first to confuse. */
function* altered(names: Iterable<string>): Iterable<string> {
  for (const name of names) {
    const at = name.length >> 1;
    yield `${name.slice(0, at)}${name[at] === '7' ? '3' : '7'}${name.slice(at + 1)}`
      .replace(/^\.|\.$/g, 'a')
      .replace('..', '.a');
  }
}

/** Builds, times and checks with the lists in `listsDir`; rejects when there are none. The mismatches are for the caller to judge. */
export async function measureLookup(listsDir: string): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const files = listFiles(listsDir);
  const built = await build(files, rows);
  const index = openIndex(built.buffer);
  const popular = popularNames(listsDir);

  const oracle = await buildOracle(files);
  const listed = [...oracle.names.keys()];
  // a stride through all lists, so that the sample does not sit in one corner of the processor's cache
  const sample = listed.filter((_, i) => i % Math.max(1, Math.floor(listed.length / 200_000)) === 0);
  rows.push({ name: 'lookup, listed name, text', ...timeLookups(index, sample, false), unit: 'ns' });
  rows.push({ name: 'lookup, listed name, wire', ...timeLookups(index, sample, true), unit: 'ns' });
  if (popular.length > 0) {
    const free = popular.filter((name) => oracle.matches(name).length === 0);
    rows.push({
      name: 'lookup, popular unlisted name, text',
      ...timeLookups(index, free, false),
      unit: 'ns',
    });
    rows.push({ name: 'lookup, popular unlisted name, wire', ...timeLookups(index, free, true), unit: 'ns' });
    rows.push({ name: 'popular names on some list', figure: popular.length - free.length, unit: 'names' });
  }
  const some = listed.filter((_, i) => i % 8 === 0);
  rows.push(
    { name: 'hash collisions among listed names', figure: oracle.names.size - index.names, unit: 'names' },
    { name: 'mismatches, every listed name', figure: countMismatches(index, oracle, listed), unit: 'names' },
    {
      name: 'mismatches, a name below each',
      figure: countMismatches(index, oracle, below(listed)),
      unit: 'names',
    },
    {
      name: 'mismatches, every eighth with a letter altered',
      figure: countMismatches(index, oracle, altered(some)),
      unit: 'names',
    },
    { name: 'mismatches, popular names', figure: countMismatches(index, oracle, popular), unit: 'names' },
  );
  return rows;
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const listsDir =
    args.find((arg) => !arg.startsWith('--')) ?? process.env['SCHOOLGATE_LISTS'] ?? DEFAULT_LISTS;
  const rows = await measureLookup(listsDir);
  process.stdout.write(args.includes('--json') ? `${JSON.stringify(rows)}\n` : `${tableOf(rows)}\n`);
  if (rows.some((row) => /^(mismatches|hash collisions)/.test(row.name) && row.figure !== 0))
    process.exitCode = 1;
}
