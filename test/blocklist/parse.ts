// Parses lines as a list and collects what came of them; shared by the tests of formats.

import { domainToASCII } from 'node:url';
import type { IpRange } from '../../src/blocklist/ip-text.ts';
import { formatAddress } from '../../src/policy/networks.ts';
import { createListParser } from '../../src/blocklist/parse-list.ts';
import type { ListReport } from '../../src/blocklist/parse-list.ts';
import type { ListFormat, ListSource } from '../../src/blocklist/types.ts';

const SUFFIXES = new Set(['com', 'uk', 'co.uk', 'io', 'github.io']);

/** Entries as `kind name`, in order. Public suffixes are com, uk, co.uk, io and github.io. */
export function parse(
  format: ListFormat,
  lines: readonly string[],
  more: Partial<ListSource> = {},
): { entries: string[]; report: ListReport } {
  const entries: string[] = [];
  const parser = createListParser({
    source: { name: 'l', category: 'c', sealed: false, format, match: 'format', ...more },
    toAscii: domainToASCII,
    isPublicSuffix: (name) => SUFFIXES.has(name),
    onEntry: (name, kind) => entries.push(`${kind} ${name}`),
    onRange: (range) => entries.push(rangeText(range)),
  });
  for (const line of lines) parser.line(line);
  return { entries, report: parser.end() };
}

/** `range 192.0.2.0-192.0.2.255`: addresses as the gateway writes them. */
function rangeText({ family, first, last }: IpRange): string {
  const [from, to] = [first, last].map((words) => formatAddress({ family, words }));
  return from === to ? `range ${from}` : `range ${from}-${to}`;
}
