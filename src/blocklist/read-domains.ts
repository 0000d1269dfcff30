// Reads a line of a list of plain domains: one name, covering all below it, with comments before or after.
// Also serves squidGuard and wildcard lists, which differ only in what they use of the same writing.

import { readAdblockLine } from './read-adblock.ts';
import { readHostsLine } from './read-hosts.ts';
import { isBlank, isHostsAddress } from './line-reader.ts';
import type { LineSink } from './line-reader.ts';

export function readDomainsLine(line: string, sink: LineSink): void {
  if (sink.plainEntry(line, 'below')) return;
  const first = line.charCodeAt(0);
  if (first === 35 || first === 33 || first === 59 || line.startsWith('//')) return; // # ! ; //
  let end = 0;
  while (end < line.length && !isBlank(line.charCodeAt(end)) && line.charCodeAt(end) !== 35) end++;
  const word = line.slice(0, end);
  if (first === 124 || (first === 64 && line.startsWith('@@'))) return readAdblockLine(line, sink);
  if (end < line.length) {
    if (/^#[@?$%]*#/.test(line.slice(end, end + 4))) return sink.skip('a cosmetic rule');
    const rest = line.slice(end).trimStart();
    if (!/^(?:[#;!]|\/\/)/.test(rest)) {
      if (isHostsAddress(word)) return readHostsLine(line, sink);
      return sink.skip('more than one thing on the line');
    }
  }
  if (first === 46) sink.entry(word.slice(1), 'wildcard');
  else if (first === 42 && word.startsWith('*.')) sink.entry(word.slice(2), 'wildcard');
  else sink.entry(word, 'below');
}
