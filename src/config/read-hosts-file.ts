// Reads a hosts file as local records: bounded, wrong lines skipped and told, the machine's own lines left out. Lists of sites to
// block have the same format and are another matter: they belong under `blocklists`.

import { readFileSync, statSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { formatAddress, parseAddress } from '../policy/networks.ts';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import { DEFAULT_TTL, MAX_RECORDS, parseRecordName } from '../resolver/local-record.ts';
import type { LocalRecord } from '../resolver/local-record.ts';
import { explainIo } from './sources.ts';
import { quote } from './values.ts';

const LARGEST = 2_000_000;
const MOST_TOLD = 5;
/** What such a line says is true on one machine only, or is a block. */
const NOT_SERVED = compileNetworks([
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '::/127',
  'fe00::/16',
  'ff00::/8',
]);

export type HostsFile = {
  readonly records: readonly LocalRecord[];
  /** why none of it is used, or null */
  readonly refused: { readonly problem: string; readonly advice: string } | null;
  /** what was left out, the first of it as `file:line: problem` */
  readonly skipped: { readonly count: number; readonly first: readonly string[] };
};

/** Never throws; a file that cannot be read is refused. */
export function readHostsFile(path: string): HostsFile {
  const refuse = (problem: string, advice: string): HostsFile => ({
    records: [],
    refused: { problem, advice },
    skipped: { count: 0, first: [] },
  });
  let text: string;
  try {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    const stats = statSync(path);
    if (!stats.isFile()) return refuse(`${path} is not a file`, 'write the path of a hosts file');
    if (stats.size > LARGEST)
      return refuse(
        `${path} is larger than ${LARGEST / 1e6} MB`,
        'put lists of sites to block under blocklists',
      );
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return refuse(explainIo(path, error), 'write the path of a file that can be read');
  }
  return parseHosts(path, text);
}

function parseHosts(path: string, text: string): HostsFile {
  const records: LocalRecord[] = [];
  const seen = new Set<string>();
  const first: string[] = [];
  let count = 0;
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  for (const [at, line] of lines.entries()) {
    const skip = (problem: string): void => {
      count++;
      if (first.length < MOST_TOLD) first.push(`${path}:${at + 1}: ${problem}`);
    };
    const [written, ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (written === undefined || written === '') continue;
    const address = parseAddress(written);
    if (address === null) {
      skip(`${quote(written)} is not an address`);
      continue;
    }
    if (matchesNetworks(written, NOT_SERVED)) continue;
    if (names.length === 0) skip('there is no name after the address');
    for (const one of names) {
      const type = address.family === 4 ? 'A' : 'AAAA';
      const name = parseRecordName(one, type, domainToASCII);
      if (!name.ok) {
        skip(name.problem);
        continue;
      }
      const record: LocalRecord = { name: name.value, type, value: formatAddress(address), ttl: DEFAULT_TTL };
      const key = `${record.name} ${record.value}`;
      if (seen.has(key)) continue;
      seen.add(key);
      records.push(record);
    }
    if (records.length > MAX_RECORDS) {
      const refused = {
        problem: `${path} has more than ${MAX_RECORDS} names`,
        advice: 'put lists of sites to block under blocklists',
      };
      return { records: [], refused, skipped: { count, first } };
    }
  }
  return { records, refused: null, skipped: { count, first } };
}
