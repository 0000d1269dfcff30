// Reads a hosts file as local records: bounded, every wrong line told, the machine's own lines left out. Lists of sites to
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
const MOST_TOLD = 10;
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
  readonly problems: readonly { readonly problem: string; readonly advice: string }[];
};

/** Never throws; a file that cannot be read is a problem like any other. */
export function readHostsFile(path: string): HostsFile {
  const refuse = (problem: string, advice: string): HostsFile => ({
    records: [],
    problems: [{ problem, advice }],
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
  const problems: { problem: string; advice: string }[] = [];
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  for (const [at, line] of lines.entries()) {
    if (problems.length === MOST_TOLD) break;
    const tell = (problem: string, advice: string): void =>
      void problems.push({ problem: `${path} line ${at + 1}: ${problem}`, advice });
    const [first, ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (first === undefined || first === '') continue;
    const address = parseAddress(first);
    if (address === null) {
      tell(`${quote(first)} is not an address`, 'write an address, then its names');
      continue;
    }
    if (matchesNetworks(first, NOT_SERVED)) continue;
    if (names.length === 0) tell('there is no name after the address', 'write an address, then its names');
    for (const written of names) {
      const type = address.family === 4 ? 'A' : 'AAAA';
      const name = parseRecordName(written, type, domainToASCII);
      if (!name.ok) {
        tell(name.problem, name.advice);
        continue;
      }
      const record: LocalRecord = { name: name.value, type, value: formatAddress(address), ttl: DEFAULT_TTL };
      const key = `${record.name} ${record.value}`;
      if (seen.has(key)) continue;
      seen.add(key);
      records.push(record);
    }
    if (records.length > MAX_RECORDS) {
      tell(`there are more than ${MAX_RECORDS} names`, 'put lists of sites to block under blocklists');
      return { records: [], problems };
    }
  }
  return { records, problems };
}
