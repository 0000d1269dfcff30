// What the readers of the list formats share: the words they report in, and how a piece of a line becomes a name.
// One reader per format has a file of its own (read-*.ts); counting and the list's own rules are in parse-list.ts.

import { canonicalName, isIpLiteral } from './names.ts';

/** Why something in a list file was not taken; shown to technicians as it is. */
export type SkipReason =
  | 'not a domain name'
  | 'a single label, which would cover a whole top-level domain'
  | 'a path: only part of a site'
  | 'a port: only part of a site'
  | 'a pattern'
  | 'a regular expression'
  | 'a cosmetic rule'
  | 'a rule with options'
  | 'more than one thing on the line'
  | 'a local name'
  | 'a setting, not an entry'
  | 'forwarded to a server, not blocked'
  | 'an exception in a sealed list'
  | 'an RPZ trigger or action that is not a blocked name'
  | 'outside the zone'
  | 'not an address or a range of addresses'
  | 'a range so wide that it takes in much of the internet'
  | 'line too long';

/**
 * How an entry was written: `name` means the name alone, `below` the name and all below it by the custom of the
 * format, `wildcard` the same but said outright (`*.`, a leading dot, `||`), which even a public suffix obeys.
 */
export type Written = 'name' | 'below' | 'wildcard';

/** Where a reader reports what it found on the present line. Blank lines and comments are not reported. */
export type LineSink = {
  /** takes the text if it is a name as it stands, as most lines of most lists are; otherwise reports nothing */
  plainEntry(text: string, written: Written): boolean;
  entry(text: string, written: Written): void;
  exception(text: string, written: Written): void;
  /** an address or a range of them, which also counts when an answer leads there */
  addresses(text: string): void;
  skip(why: SkipReason): void;
};

/** Reads one line, trimmed, never empty. Never throws. */
export type LineReader = (line: string, sink: LineSink) => void;

/** White space within a line; other control characters are rubbish, not separators. */
export function isBlank(c: number): boolean {
  return c === 32 || (c >= 9 && c <= 13);
}

/** The line's words, split at white space. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let start = -1;
  for (let i = 0; i < line.length; i++) {
    if (isBlank(line.charCodeAt(i))) {
      if (start >= 0) words.push(line.slice(start, i));
      start = -1;
    } else if (start < 0) start = i;
  }
  if (start >= 0) words.push(line.slice(start));
  return words;
}

/** Whether a word is an address as hosts files have them: IPv4, IPv6 with or without a zone, or a bare `0`. */
export function isHostsAddress(word: string): boolean {
  if (word === '0.0.0.0' || word === '127.0.0.1' || word === '0') return true;
  const zone = word.indexOf('%');
  return isIpLiteral(zone < 0 ? word : word.slice(0, zone));
}

/**
 * The canonical name in a piece of text, which may carry a scheme, a default port or an empty path; or why it has
 * none. IPv6 addresses come out without brackets, shortened.
 */
export function nameIn(
  text: string,
  toAscii: (s: string) => string,
): { readonly name: string } | { readonly why: SkipReason } {
  const plain = canonicalName(text, toAscii);
  if (plain !== null) return { name: plain };
  if (text.length > 1 && text.startsWith('/') && text.endsWith('/')) return { why: 'a regular expression' };
  if (text.includes('*')) return { why: 'a pattern' };
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0] ?? '';
  const rest = text.slice(scheme.length);
  const slash = rest.search(/[/?#]/);
  const host = slash < 0 ? rest : rest.slice(0, slash);
  const address = canonicalIpv6(host, toAscii);
  const port = address === null ? (/:[0-9]{1,5}$/.exec(host)?.[0] ?? '') : '';
  const name = address ?? canonicalName(host.slice(0, host.length - port.length), toAscii);
  if (name === null) return { why: 'not a domain name' };
  if (slash >= 0 && rest.slice(slash) !== '/') return { why: 'a path: only part of a site' };
  if (port !== '' && port !== ':80' && port !== ':443') return { why: 'a port: only part of a site' };
  return { name };
}

function canonicalIpv6(host: string, toAscii: (s: string) => string): string | null {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (!bare.includes(':') || !isIpLiteral(bare)) return null;
  const short = toAscii(`[${bare}]`);
  return short.startsWith('[') && short.endsWith(']') ? short.slice(1, -1) : bare.toLowerCase();
}
