// Builds an index from list files streamed through it, and knows nothing of files or threads. Memory on the way is
// 12 bytes an entry and little else (entry-log.ts); the finished index is one shared buffer, never changed again.

import { createEntryLog } from './entry-log.ts';
import { createNameHashes, hashName } from './hash.ts';
import { HEADER, HEADER_WORDS, INDEX_MAGIC, INDEX_VERSION, homeSlot, offsetsOf } from './layout.ts';
import { MAX_LISTS, createNameSets, memberOf } from './name-sets.ts';
import { encodeNotes } from './open-index.ts';
import { MAX_LINE, createListParser } from './parse-list.ts';
import type { ListParser, ListReport } from './parse-list.ts';
import { createRangeLog } from './range-log.ts';
import type { DisjointRanges } from './range-log.ts';
import type { EntryKind, ListInfo, ListSource, Seed } from './types.ts';

/** Names for each home slot: with sorted runs a search reads fewer than four slots on average at this load. */
const LOAD = 0.78;
const ENTRY_KINDS: readonly EntryKind[] = ['exact', 'suffix', 'except-exact', 'except-suffix'];

export type IndexBuilderDeps = {
  readonly seed: Seed;
  readonly toAscii: (s: string) => string;
  readonly isPublicSuffix: (name: string) => boolean;
};

/** Takes one list's text, in pieces of any size; `fileEnd` between files ends a last line without a line end. */
type ListTextSink = {
  chunk(text: string): void;
  fileEnd(): void;
  end(): ListReport;
  /** instead of `end`: nothing of this list shall be in the index */
  abandon(): void;
};

export type BuiltIndex = {
  /** for `openIndex`, here or in another thread */
  readonly buffer: SharedArrayBuffer;
  readonly names: number;
  /** disjoint ranges of addresses, of both families */
  readonly ranges: number;
  readonly capacity: number;
  readonly bytes: number;
  readonly lists: readonly ListInfo[];
};

export type IndexBuilder = {
  /** throws when there are more lists than an index can hold */
  begin(source: ListSource): ListTextSink;
  addList(source: ListSource, lines: Iterable<string>): ListReport;
  /** the index of all lists but the abandoned; `digest` is kept in it. The builder is done after this. */
  finish(digest: string): BuiltIndex;
};

export function createIndexBuilder({ seed, toAscii, isPublicSuffix }: IndexBuilderDeps): IndexBuilder {
  const sets = createNameSets();
  const log = createEntryLog(sets.union);
  const ranges = { 4: createRangeLog(1), 6: createRangeLog(4) } as const;
  const hashes = createNameHashes();
  const sources: ListSource[] = [];
  const abandoned = new Set<number>();

  function parserFor(source: ListSource, id: number): ListParser {
    const single = (kind: EntryKind): number => sets.single(memberOf(id, kind));
    const setOf = Object.fromEntries(ENTRY_KINDS.map((kind) => [kind, single(kind)])) as Record<
      EntryKind,
      number
    >;
    return createListParser({
      source,
      toAscii,
      isPublicSuffix,
      onEntry: (name, kind) => {
        hashName(seed, name, hashes);
        const last = hashes.count - 1;
        log.append(hashes.lo[last] as number, hashes.hi[last] as number, setOf[kind]);
      },
      onRange: ({ family, first, last }) => ranges[family].append(id, first, last),
    });
  }

  function begin(source: ListSource): ListTextSink {
    if (sources.length === MAX_LISTS) throw new Error(`an index holds at most ${MAX_LISTS} lists`);
    const id = sources.push(source) - 1;
    const parser = parserFor(source, id);
    let rest = '';
    // an endless line is kept only as far as the parser needs to see that it is too long
    const bounded = (text: string): string => (text.length > MAX_LINE ? text.slice(0, MAX_LINE + 1) : text);
    function fileEnd(): void {
      if (rest !== '') parser.line(rest);
      rest = '';
    }
    return {
      chunk(text) {
        let start = 0;
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
          const line = text.slice(start, end);
          parser.line(rest === '' ? line : bounded(rest + line));
          rest = '';
          start = end + 1;
        }
        if (start < text.length) rest = bounded(rest + text.slice(start));
      },
      fileEnd,
      end() {
        fileEnd();
        return parser.end();
      },
      abandon() {
        abandoned.add(id);
      },
    };
  }

  return {
    begin,
    addList(source, lines) {
      const sink = begin(source);
      for (const line of lines) {
        sink.chunk(line);
        sink.fileEnd();
      }
      return sink.end();
    },
    finish(digest) {
      const names = log.settle();
      const entries = sources.map(() => 0);
      const count = (list: number): void => void entries[list]!++;
      const v4 = ranges[4].settle(sets, abandoned, count);
      const v6 = ranges[6].settle(sets, abandoned, count);
      return writeIndex({ seed, digest, sources, abandoned, sets, log, names, v4, v6, entries });
    },
  };
}

type Parts = {
  readonly seed: Seed;
  readonly digest: string;
  readonly sources: readonly ListSource[];
  readonly abandoned: ReadonlySet<number>;
  readonly sets: ReturnType<typeof createNameSets>;
  readonly log: ReturnType<typeof createEntryLog>;
  readonly names: number;
  readonly v4: DisjointRanges;
  readonly v6: DisjointRanges;
  /** by list, what it has in the ranges */
  readonly entries: readonly number[];
};

function writeIndex(parts: Parts): BuiltIndex {
  const { seed, digest, sources, abandoned, sets, log, names: logged, v4, v6 } = parts;
  const ids = sources.map((_, id) => id).filter((id) => !abandoned.has(id));
  const newId = new Map(ids.map((id, at) => [id, at]));

  // sets that are in use, renumbered from 1 without abandoned lists; a name left in no list falls out
  const uses = new Uint32Array(sets.count);
  log.each((_lo, _hi, set) => uses[set]!++);
  const ofRanges = new Uint8Array(sets.count);
  for (const { set } of [v4, v6]) for (const id of set) ofRanges[id] = 1;
  const entries = ids.map((id) => parts.entries[id] as number);
  const newSet = new Uint32Array(sets.count);
  const members: number[] = [];
  const starts: number[] = [0, 0];
  let names = logged;
  for (let set = 1; set < sets.count; set++) {
    const count = uses[set] as number;
    if (count === 0 && ofRanges[set] === 0) continue;
    const kept = sets.members(set).filter((member) => !abandoned.has(member >>> 2));
    if (kept.length === 0) {
      names -= count;
      continue;
    }
    newSet[set] = starts.length - 1;
    for (const member of kept) {
      const list = newId.get(member >>> 2) as number;
      members.push(list * 4 + (member & 3));
      entries[list]! += count;
    }
    starts.push(members.length);
  }

  const lists = ids.map((id, at): ListInfo => {
    const { name, category, sealed } = sources[id] as ListSource;
    return { id: at, name, category, sealed, entries: entries[at] as number };
  });
  const notes = encodeNotes({ digest, lists });
  const capacity = Math.max(1, Math.ceil(names / LOAD));
  // in the order of hashes, each name goes to its home or to the next free slot; the first pass finds the last slot
  let next = 0;
  log.each((lo, _hi, set) => {
    if (newSet[set] !== 0) next = Math.max(next, homeSlot(lo, capacity)) + 1;
  });
  const sizes = {
    slots: Math.max(next, capacity) + 1,
    sets: starts.length - 2,
    members: members.length,
    v4: v4.count,
    v6: v6.count,
    notesBytes: notes.length,
  };
  const offsets = offsetsOf(sizes);
  const buffer = new SharedArrayBuffer(offsets.bytes);
  const header = new Uint32Array(buffer, 0, HEADER_WORDS);
  header[HEADER.magic] = INDEX_MAGIC;
  header[HEADER.version] = INDEX_VERSION;
  header[HEADER.seedLo] = seed.lo;
  header[HEADER.seedHi] = seed.hi;
  header[HEADER.names] = names;
  header[HEADER.capacity] = capacity;
  header[HEADER.slots] = sizes.slots;
  header[HEADER.sets] = sizes.sets;
  header[HEADER.members] = sizes.members;
  header[HEADER.notesBytes] = sizes.notesBytes;
  header[HEADER.bytes] = offsets.bytes;
  header[HEADER.v4] = sizes.v4;
  header[HEADER.v6] = sizes.v6;
  const table = new Uint32Array(buffer, offsets.table * 4, sizes.slots * 3);
  let slot = 0;
  log.each((lo, hi, set) => {
    const id = newSet[set] as number;
    if (id === 0) return;
    slot = Math.max(slot, homeSlot(lo, capacity));
    table[slot * 3] = lo;
    table[slot * 3 + 1] = hi;
    table[slot * 3 + 2] = id;
    slot++;
  });
  new Uint32Array(buffer, offsets.setStart * 4, starts.length).set(starts);
  new Uint32Array(buffer, offsets.members * 4, members.length).set(members);
  for (const [at, table] of [
    [offsets.v4, v4],
    [offsets.v6, v6],
  ] as const) {
    const words = new Uint32Array(buffer, at * 4, table.first.length * 2 + table.count);
    words.set(table.first);
    words.set(table.last, table.first.length);
    words.set(
      table.set.map((set) => newSet[set] as number),
      table.first.length * 2,
    );
  }
  new Uint8Array(buffer, offsets.notes, notes.length).set(notes);
  return { buffer, names, ranges: v4.count + v6.count, capacity, bytes: offsets.bytes, lists };
}
