// Reads a line of a hosts file: an address and the names it stands for, each of them alone.
// Any address counts: some lists point at 0.0.0.0, some at 127.0.0.1, some at a page of their own.

import { isHostsAddress, wordsOf } from './line-reader.ts';
import type { LineSink } from './line-reader.ts';

/** Names that every hosts file holds for the machine itself. */
const LOCAL_NAMES: ReadonlySet<string> = new Set([
  'localhost',
  'localhost.localdomain',
  'localhost4',
  'localhost4.localdomain4',
  'localhost6',
  'localhost6.localdomain6',
  'local',
  'broadcasthost',
  'ip6-localhost',
  'ip6-loopback',
  'ip6-localnet',
  'ip6-mcastprefix',
  'ip6-allnodes',
  'ip6-allrouters',
  'ip6-allhosts',
]);

export function readHostsLine(line: string, sink: LineSink): void {
  const first = line.charCodeAt(0);
  if (first === 35 || first === 33 || first === 59) return; // # ! ;
  const hash = line.indexOf('#');
  const words = wordsOf(hash < 0 ? line : line.slice(0, hash));
  const address = isHostsAddress(words[0] ?? '') ? words[0] : undefined;
  if (address === undefined) {
    // a name without an address is still plainly a name; several might be anything
    if (words.length === 1) sink.entry(words[0] as string, 'name');
    else sink.skip('more than one thing on the line');
    return;
  }
  if (words.length === 1) sink.skip('not a domain name');
  for (let i = 1; i < words.length; i++) {
    const word = words[i] as string;
    if (word === address || LOCAL_NAMES.has(word.toLowerCase())) sink.skip('a local name');
    else sink.entry(word, 'name');
  }
}
