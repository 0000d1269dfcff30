// The school's own names as a table to be asked for every query, and their answers in wire form. A name is found by the
// hashes that the policy made of it; with no records at all that is one comparison. What may be written is checked before.

import { createNameHashes, hashName } from '../blocklist/hash.ts';
import type { NameHashes, Seed } from '../blocklist/types.ts';
import { parseAddress } from '../policy/networks.ts';
import { createSuffixTable, findRow } from '../policy/suffix-table.ts';
import type { SuffixTable } from '../policy/suffix-table.ts';
import { reverseName } from '../resolver/local-record.ts';
import type { LocalData, LocalRecord, RecordType } from '../resolver/local-record.ts';
import { recordBytes } from './record-bytes.ts';
import { specialName } from './special-names.ts';
import { NOERROR, NXDOMAIN } from './wire.ts';

/** The records of one type at one name. */
export type RecordSet = { readonly ttl: number; readonly data: readonly Uint8Array[] };

/** A name that is answered here: what it has, or that it has nothing. Read only once compiled. */
export type LocalName = {
  readonly rcode: typeof NOERROR | typeof NXDOMAIN;
  /** by the number of the type */
  readonly sets: ReadonlyMap<number, RecordSet>;
  /** where its CNAME leads, when that is a local name too */
  readonly target: LocalName | null;
  /** how many labels the zone has that it is in; 0 when it is in none, and so stands for itself */
  readonly zone: number;
  /** it is itself a zone of the school */
  readonly apex: boolean;
};

export type LocalRecords = {
  readonly names: number;
  readonly table: SuffixTable;
  /** by row: the answer to the name itself, or null when an upstream is to say */
  readonly exact: readonly (LocalName | null)[];
  /** by row: the answer to names below it that have no row */
  readonly below: readonly (LocalName | null)[];
  /** whether any row has a say in the names below it */
  readonly deep: boolean;
  /** no row's name has more labels */
  readonly labels: number;
};

const TYPE_NUMBERS: Readonly<Record<RecordType, number>> = {
  A: 1,
  CNAME: 5,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
};

/** What `dns.forward` names is not ours, unless a record (or the address in one) or a deeper zone says so. */
export type LocalSource = LocalData & { readonly forward: readonly string[] };

type Draft = {
  rcode: LocalName['rcode'];
  sets: Map<number, { ttl: number; data: Uint8Array[] }>;
  target: LocalName | null;
  zone: number;
  apex: boolean;
  leadsTo: string | null;
};

/** The answer for the name of these hashes, or null when it is not one of the school's. */
export function findLocal(records: LocalRecords, hashes: NameHashes): LocalName | null {
  if (records.names === 0 || hashes.count === 0) return null;
  const { table } = records;
  const last = hashes.count - 1;
  if (last < records.labels) {
    const row = findRow(table, hashes, last);
    if (row >= 0) return records.exact[row] as LocalName | null;
  }
  if (!records.deep) return null;
  for (let suffix = Math.min(last, records.labels) - 1; suffix >= 0; suffix--) {
    const row = findRow(table, hashes, suffix);
    if (row >= 0) return records.below[row] as LocalName | null;
  }
  return null;
}

/** Builds the table. Records that name the same are answered together; of several TTLs the least counts (RFC 2181, 5.2). */
export function compileLocalRecords(source: LocalSource, seed: Seed): LocalRecords {
  const { records } = source;
  const scopeOf = createScopes(source);
  const names = new Map<string, Draft>();
  const wildcards = new Map<string, Draft>();
  const draftAt = (name: string): Draft => {
    const { zone, zoneLabels } = scopeOf(name);
    return emptyName(NOERROR, zoneLabels || (specialName(name)?.zone ?? 0), zone === name);
  };
  const add = ({ name, type, value, ttl }: LocalRecord): void => {
    const wild = name.startsWith('*.');
    const at = wild ? name.slice(2) : name;
    const drafts = wild ? wildcards : names;
    let draft = drafts.get(at);
    if (draft === undefined) {
      draft = wild ? emptyName(NOERROR, scopeOf(at).zoneLabels, false) : draftAt(at);
      drafts.set(at, draft);
    }
    if (type === 'CNAME') draft.leadsTo = value;
    const number = TYPE_NUMBERS[type];
    const set = draft.sets.get(number);
    if (set === undefined) draft.sets.set(number, { ttl, data: [recordBytes(type, value)] });
    else {
      set.ttl = Math.min(set.ttl, ttl);
      set.data.push(recordBytes(type, value));
    }
  };
  records.forEach(add);
  for (const record of reverseRecords(records)) {
    const held = names.get(record.name);
    if (held !== undefined && (held.sets.has(TYPE_NUMBERS.PTR) || held.leadsTo !== null)) continue;
    add(record);
  }

  const rows = new Map<string, { exact: Draft | null; below: Draft | null }>();
  for (const [name, draft] of names) rows.set(name, { exact: draft, below: null });
  /** Names with nothing of their own are many below the reverse zones of IPv6, and alike within their zone. */
  const between = new Map<number, Draft>();
  const nothingAt = (name: string, zone: number): Draft => {
    if (scopeOf(name).zone === name) return draftAt(name);
    let draft = between.get(zone);
    if (draft === undefined) between.set(zone, (draft = emptyName(NOERROR, zone, false)));
    return draft;
  };
  const cuts = source.authoritative.length + wildcards.size > 0 ? source.forward : [];
  for (const name of [...source.authoritative, ...cuts, ...names.keys(), ...wildcards.keys()]) {
    // Of a reverse name that is no whole address nobody says that it does not exist.
    const special = name.endsWith('.arpa') && REVERSE.test(name) ? 0 : (specialName(name)?.zone ?? 0);
    if (special === 0 && scopeOf(name) === OUTSIDE) continue;
    let labels = labelsOf(name);
    for (let at = name; at !== ''; at = above(at), labels--) {
      if (rows.has(at)) {
        if (at !== name) break;
        continue;
      }
      const scope = scopeOf(at);
      // A name exists because one below it does, where nobody else could say so.
      const ours =
        scope.zone !== null ||
        (!scope.forwarded &&
          (scopeOf(above(at)).wild || (special > 0 && labels > (special === 1 ? 0 : special))));
      if (ours) rows.set(at, { exact: nothingAt(at, scope.zoneLabels || special), below: null });
      else if (wildcards.has(at) || (scope.forwarded && cuts.includes(at)))
        rows.set(at, { exact: null, below: null });
    }
  }
  const missing = new Map(
    source.authoritative.map((zone) => [zone, emptyName(NXDOMAIN, labelsOf(zone), false)]),
  );
  for (const [name, row] of rows)
    row.below = wildcards.get(name) ?? missing.get(scopeOf(name).zone ?? '') ?? null;

  const order = [...rows.keys()];
  const compiled: LocalRecords = {
    names: rows.size,
    table: createSuffixTable(
      seed,
      order.map((name, value) => ({ name, value })),
    ),
    exact: order.map((name) => rows.get(name)!.exact),
    below: order.map((name) => rows.get(name)!.below),
    deep: [...rows.values()].some(({ below }) => below !== null),
    labels: order.reduce((most, name) => Math.max(most, labelsOf(name)), 0),
  };
  const hashes = createNameHashes();
  for (const draft of [...names.values(), ...wildcards.values()]) {
    if (draft.leadsTo === null) continue;
    hashName(seed, draft.leadsTo, hashes);
    draft.target = findLocal(compiled, hashes);
  }
  return compiled;
}

/** What holds for a name because of those above it. */
type Scope = {
  /** the zone of the school it is in */
  readonly zone: string | null;
  readonly zoneLabels: number;
  /** others are asked for it, and no zone of the school lies between */
  readonly forwarded: boolean;
  /** it, or a name above it, has a wildcard below itself */
  readonly wild: boolean;
};

const REVERSE = /\.(?:in-addr|ip6)\.arpa$/;

const OUTSIDE: Scope = { zone: null, zoneLabels: 0, forwarded: false, wild: false };

/** Scopes by name, each worked out once: names of IPv6 addresses have thirty names above them, and share most. */
function createScopes({ records, authoritative, forward }: LocalSource): (name: string) => Scope {
  const zones = new Set(authoritative);
  const forwarded = new Set(forward);
  const wild = new Set(records.filter(({ name }) => name.startsWith('*.')).map(({ name }) => name.slice(2)));
  const ends = new Set([...zones, ...forwarded, ...wild].map(endOf));
  const known = new Map<string, Scope>([['', OUTSIDE]]);
  const scopeOf = (name: string): Scope => {
    // Nearly every name is told by its end to be under no rule.
    if (!ends.has(endOf(name)) && !ends.has(name.slice(name.lastIndexOf('.') + 1))) return OUTSIDE;
    let scope = known.get(name);
    if (scope !== undefined) return scope;
    scope = scopeOf(above(name));
    if (zones.has(name)) scope = { ...scope, zone: name, zoneLabels: labelsOf(name), forwarded: false };
    else if (forwarded.has(name)) scope = { ...scope, zone: null, zoneLabels: 0, forwarded: true };
    if (wild.has(name)) scope = { ...scope, wild: true };
    known.set(name, scope);
    return scope;
  };
  return scopeOf;
}

/** The PTR records that follow from addresses: the first name written for an address is its name. */
function reverseRecords(records: readonly LocalRecord[]): LocalRecord[] {
  const made = new Map<string, LocalRecord>();
  for (const { name, type, value, ttl } of records) {
    if ((type !== 'A' && type !== 'AAAA') || name.startsWith('*.')) continue;
    const address = parseAddress(value);
    if (address === null) continue;
    const reverse = reverseName(address);
    // The name of 127.0.0.1 is localhost wherever it is asked.
    if (value === '127.0.0.1' || value === '::1' || made.has(reverse)) continue;
    made.set(reverse, { name: reverse, type: 'PTR', value: name, ttl });
  }
  return [...made.values()];
}

function emptyName(rcode: LocalName['rcode'], zone: number, apex: boolean): Draft {
  return { rcode, sets: new Map(), target: null, zone, apex, leadsTo: null };
}

/** The last two labels. */
function endOf(name: string): string {
  return name.slice(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1);
}

/** The name without its first label, empty for a top-level name. */
function above(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? '' : name.slice(dot + 1);
}

function labelsOf(name: string): number {
  let labels = 1;
  for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) labels++;
  return labels;
}
