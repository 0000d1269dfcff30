// Reads a line of a list of addresses: one address, `address/bits` or `first-last`, with comments before or after.

import { isBlank } from './line-reader.ts';
import type { LineSink } from './line-reader.ts';
import { readRange } from './ip-text.ts';

export function readIpsLine(line: string, sink: LineSink): void {
  const text = rangeText(line);
  if (text !== '') sink.addresses(text);
}

/** Whether a line is one that such a list may hold; null for what says nothing, a comment or a blank line. */
export function looksLikeIps(line: string): boolean | null {
  const text = rangeText(line);
  return text === '' ? null : readRange(text) !== 'none';
}

/** The line without its comment (`#` anywhere, `;` anywhere, `//` after a blank). */
function rangeText(line: string): string {
  let end = 0;
  for (; end < line.length; end++) {
    const c = line.charCodeAt(end);
    if (c === 35 || c === 59) break; // # ;
    if (c === 47 && line.charCodeAt(end + 1) === 47 && (end === 0 || isBlank(line.charCodeAt(end - 1))))
      break;
  }
  return line.slice(0, end).trim();
}
