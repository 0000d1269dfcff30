// The school's own names from gateway.yaml and its hosts file: records with their places, and the mistakes that only show when
// all of them are seen together. It reads the hosts file and nothing else.

import { dirname, resolve } from 'node:path';
import { domainToASCII } from 'node:url';
import { parse as parseDomain } from 'tldts';
import {
  DEFAULT_TTL,
  MAX_RECORDS,
  MAX_TTL,
  RECORD_TYPES,
  parseRecordName,
  parseRecordValue,
} from '../resolver/local-record.ts';
import type { RecordType } from '../resolver/local-record.ts';
import { findRecordProblems, mergeRecords } from '../resolver/record-rules.ts';
import { mapping, meaning, placedMeanings } from './raw.ts';
import { readHostsFile } from './read-hosts-file.ts';
import type { FileRecord, Finding, GatewayConfig, KeyPath } from './types.ts';
import { parseName, parseText } from './values.ts';

type Placed = FileRecord & { readonly path: KeyPath };

/** The records of both files, and what is wrong with them. What has the wrong shape is left out: the schema tells of it. */
export function readLocalNames(
  data: unknown,
  config: GatewayConfig,
): { findings: Finding[]; records: FileRecord[] } {
  const dns = mapping(mapping(data)['dns']);
  const findings: Finding[] = [];
  const written = readRecords(mapping(dns['records']), findings);
  const all = mergeRecords(written, readHosts(config.file, dns['hosts_file'], findings));
  for (const { index, problem, advice } of findRecordProblems(all)) {
    findings.push({ path: all[index]!.path, at: 'value', level: 'error', problem, advice });
  }
  if (all.length > MAX_RECORDS) {
    findings.push(
      wrong(
        ['dns', 'records'],
        `there are more than ${MAX_RECORDS} records`,
        'forward the name to a DNS server of its own',
      ),
    );
  }
  findings.push(...checkZones(dns, config));
  return {
    findings,
    records: all.map(({ name, type, value, ttl, origin }) => ({ name, type, value, ttl, origin })),
  };
}

function wrong(path: KeyPath, problem: string, advice: string, at: Finding['at'] = 'value'): Finding {
  return { path, at, level: 'error', problem, advice };
}

function readRecords(records: Readonly<Record<string, unknown>>, findings: Finding[]): Placed[] {
  const found: Placed[] = [];
  const owners = new Map<string, string>();
  for (const [owner, held] of Object.entries(records)) {
    const above: KeyPath = ['dns', 'records', owner];
    const same = owner.toLowerCase();
    const before = owners.get(same);
    if (before === undefined) owners.set(same, owner);
    else
      findings.push(
        wrong(above, `is the same name as ${before}`, `write what it has under ${before}`, 'key'),
      );
    const keys = mapping(held);
    const ttl = ttlOf(keys['ttl']);
    const take = (type: RecordType, text: unknown, path: KeyPath): void => {
      if (typeof text !== 'string') return;
      const name = parseRecordName(owner, type, domainToASCII);
      const value = parseRecordValue(type, text, domainToASCII);
      if (!name.ok) findings.push(wrong(above, name.problem, name.advice, 'key'));
      else if (value.ok)
        found.push({ name: name.value, type, value: value.value, ttl, origin: 'file', path });
    };
    /** one value, or a list of them */
    const takeAll = (typeOf: (text: unknown) => RecordType, values: unknown, path: KeyPath): void => {
      if (!Array.isArray(values)) return take(typeOf(values), values, path);
      values.forEach((text, index) => take(typeOf(text), text, [...path, index]));
    };
    if (typeof held === 'string' || Array.isArray(held)) {
      takeAll((text) => (String(text).includes(':') ? 'AAAA' : 'A'), held, above);
      continue;
    }
    for (const type of RECORD_TYPES)
      takeAll(() => type, keys[type.toLowerCase()], [...above, type.toLowerCase()]);
    if (Object.keys(keys).every((key) => key === 'ttl'))
      findings.push(wrong(above, 'has no record', 'write an address such as 10.0.0.9'));
  }
  return found;
}

function ttlOf(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TTL
    ? value
    : DEFAULT_TTL;
}

function readHosts(configFile: string, written: unknown, findings: Finding[]): Placed[] {
  const file = meaning(written, parseText, null);
  if (file === null) return [];
  const path: KeyPath = ['dns', 'hosts_file'];
  const { records, refused, skipped } = readHostsFile(resolve(dirname(configFile), file));
  if (refused !== null) findings.push(wrong(path, refused.problem, refused.advice));
  else if (skipped.count > 0) {
    // one slip in a long file must not cost the school its names, nor its configuration
    const more = skipped.count - skipped.first.length;
    findings.push({
      ...wrong(
        path,
        `left out ${skipped.first.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
        'write an address, then its names',
      ),
      level: 'warning',
    });
  }
  return records.map((record) => ({ ...record, origin: 'hosts', path }));
}

function checkZones(dns: Readonly<Record<string, unknown>>, config: GatewayConfig): Finding[] {
  return placedMeanings(dns['authoritative'], parseName, []).flatMap(({ value, index }) => {
    const path: KeyPath = ['dns', 'authoritative', index];
    if (Object.hasOwn(config.dns.forward, value))
      return [
        wrong(path, `${value} is forwarded to other servers too`, 'leave it out here or under dns.forward'),
      ];
    const { isIcann, publicSuffix } = parseDomain(value);
    if (isIcann === true && publicSuffix === value && value !== 'home.arpa')
      return [wrong(path, `every site below ${value} would be gone`, 'write a name of the school')];
    return [];
  });
}
