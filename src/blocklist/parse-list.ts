// From the lines of a list's file to entries and a report of what was not taken, and why. Rules that hold for every
// format are here (sealed lists, public suffixes, single labels); how each format is written is in read-*.ts.

import { readRange } from './ip-text.ts';
import type { IpRange } from './ip-text.ts';
import { isHostsAddress, nameIn, wordsOf } from './line-reader.ts';
import type { LineReader, LineSink, SkipReason, Written } from './line-reader.ts';
import { canonicalName, isIpLiteral } from './names.ts';
import { readAdblockLine } from './read-adblock.ts';
import { readDnsmasqLine } from './read-dnsmasq.ts';
import { readDomainsLine } from './read-domains.ts';
import { readHostsLine } from './read-hosts.ts';
import { looksLikeIps, readIpsLine } from './read-ips.ts';
import { createRpzReader } from './read-rpz.ts';
import type { EntryKind, ListFormat, ListSource } from './types.ts';

/** Longer lines are skipped unread; no entry needs as much. */
export const MAX_LINE = 4096;
/** How much of a file `auto` looks at. */
const DETECT_CHARS = 64 * 1024;
const DETECT_LINES = 2000;
/** How much of a file is kept back while it may be one of addresses alone: lists of names often begin with some. */
const HELD_CHARS = 4 * 1024 * 1024;
const EXAMPLES_PER_REASON = 3;
const EXAMPLE_CHARS = 80;

export type SettledFormat = Exclude<ListFormat, 'auto'>;

/** What became of a list's file. A line may hold several names, so `taken` and `skipped` count entries. */
export type ListReport = {
  /** the format the file was read as */
  readonly format: SettledFormat;
  readonly lines: number;
  /** entries taken, duplicates included */
  readonly taken: number;
  readonly skipped: number;
  /** of those taken: public suffixes written plainly, which cover only themselves */
  readonly narrowed: number;
  readonly reasons: Readonly<Partial<Record<SkipReason, number>>>;
  /** a few of what was skipped, shortened, control characters shown as `?`; at most three for a reason */
  readonly examples: readonly { readonly line: number; readonly text: string; readonly why: SkipReason }[];
};

export type ListParserOptions = {
  readonly source: ListSource;
  /** a Unicode name as A-labels, '' when it cannot be */
  readonly toAscii: (s: string) => string;
  /** whether a canonical name is a public suffix, private ones included */
  readonly isPublicSuffix: (name: string) => boolean;
  readonly onEntry: (name: string, kind: EntryKind) => void;
  /** addresses that count in answers too: of an `ips` list, or of a zone's triggers on addresses */
  readonly onRange: (range: IpRange) => void;
};

/** Takes a list line by line, without line ends; `end` gives the report. Never throws on what a line holds. */
export type ListParser = { line(text: string): void; end(): ListReport };

export function createListParser({
  source,
  toAscii,
  isPublicSuffix,
  onEntry,
  onRange,
}: ListParserOptions): ListParser {
  let format: SettledFormat | null = source.format === 'auto' ? null : source.format;
  let read: LineReader | null = format && readerOf(format);
  let waiting: string[] = [];
  let waitingChars = 0;
  let addressesOnly = false;
  let lines = 0;
  let taken = 0;
  let skipped = 0;
  let narrowed = 0;
  let current = '';
  const reasons: Partial<Record<SkipReason, number>> = {};
  const examples: ListReport['examples'][number][] = [];

  function find(text: string, written: Written, excepts: boolean): void {
    const found = nameIn(text, toAscii);
    if ('why' in found) sink.skip(found.why);
    else take(found.name, written, excepts);
  }

  function take(name: string, written: Written, excepts: boolean): void {
    if (excepts && source.sealed) return sink.skip('an exception in a sealed list');
    const dotted = name.indexOf('.') >= 0; // includes() is several times slower
    const address = (!dotted || endsInDigit(name)) && isIpLiteral(name);
    if (written !== 'wildcard' && !address && !dotted) {
      return sink.skip('a single label, which would cover a whole top-level domain');
    }
    let below = source.match === 'format' ? written !== 'name' : source.match === 'suffix';
    if (address) below = false;
    else if (below && written !== 'wildcard' && isPublicSuffix(name)) {
      below = false;
      narrowed++;
    }
    taken++;
    if (excepts) onEntry(name, below ? 'except-suffix' : 'except-exact');
    else onEntry(name, below ? 'suffix' : 'exact');
  }

  const sink: LineSink = {
    plainEntry(text, written) {
      const name = canonicalName(text, toAscii);
      if (name === null) return false;
      take(name, written, false);
      return true;
    },
    entry: (text, written) => find(text, written, false),
    exception: (text, written) => find(text, written, true),
    addresses(text) {
      const range = readRange(text);
      if (range === 'none') return sink.skip('not an address or a range of addresses');
      if (range === 'wide') return sink.skip('a range so wide that it takes in much of the internet');
      taken++;
      onRange(range);
    },
    skip(why) {
      skipped++;
      const count = (reasons[why] ?? 0) + 1;
      reasons[why] = count;
      if (count <= EXAMPLES_PER_REASON) examples.push({ line: lines, text: shown(current), why });
    },
  };

  function readLine(text: string): void {
    lines++;
    current = lines === 1 && text.startsWith('\ufeff') ? text.slice(1) : text;
    if (current.length > MAX_LINE) return sink.skip('line too long');
    // in a zone file a leading space means "the same owner as before"
    const line = format === 'rpz' ? current.trimEnd() : current.trim();
    if (line !== '') (read as LineReader)(line, sink);
  }

  function settle(): SettledFormat {
    if (format === null) {
      format = formatOf(waiting);
      read = readerOf(format);
      const kept = waiting;
      waiting = [];
      for (const text of kept) readLine(text);
    }
    return format;
  }

  return {
    line(text) {
      if (format !== null) return readLine(text);
      // a line too long is kept only as far as to be recognised as such
      waiting.push(text.length > MAX_LINE ? text.slice(0, MAX_LINE + 1) : text);
      waitingChars += text.length + 1;
      if (waitingChars < DETECT_CHARS) return;
      // the head may be addresses alone and names follow: only the whole file tells
      addressesOnly = addressesOnly ? looksLikeIps(text.trim()) !== false : areAddresses(waiting);
      if (!addressesOnly || waitingChars >= HELD_CHARS) settle();
    },
    end() {
      const settled = settle();
      return { format: settled, lines, taken, skipped, narrowed, reasons, examples };
    },
  };
}

function readerOf(format: SettledFormat): LineReader {
  switch (format) {
    case 'hosts':
      return readHostsLine;
    case 'ips':
      return readIpsLine;
    case 'adblock':
      return readAdblockLine;
    case 'dnsmasq':
      return readDnsmasqLine;
    case 'rpz':
      return createRpzReader();
    case 'domains':
    case 'wildcard':
    case 'squidguard':
      return readDomainsLine;
  }
}

function endsInDigit(name: string): boolean {
  const last = name.charCodeAt(name.length - 1);
  return last >= 48 && last <= 57;
}

/** A line fit for a report. Copied character by character, because a slice would keep the whole chunk of file alive. */
function shown(text: string): string {
  let copy = '';
  for (let i = 0; i < text.length && i < EXAMPLE_CHARS; i++) {
    const c = text.charCodeAt(i);
    copy += c < 32 || c === 127 ? '?' : (text[i] as string);
  }
  return text.length > EXAMPLE_CHARS ? `${copy}…` : copy;
}

/**
 * `ips` when every line is an address; otherwise the format that most of the first lines are written in, `domains` when none
 * stands out. `squidguard` is never the answer: its files are plain domains.
 */
export function detectFormat(text: string): SettledFormat {
  return formatOf(text.split('\n'));
}

function areAddresses(lines: readonly string[]): boolean {
  let some = false;
  for (const line of lines) {
    const looks = looksLikeIps(line.replace('\ufeff', '').trim());
    if (looks === false) return false;
    some ||= looks === true;
  }
  return some;
}

function formatOf(lines: readonly string[]): SettledFormat {
  if (areAddresses(lines)) return 'ips';
  const votes: Record<SettledFormat, number> = {
    domains: 0,
    hosts: 0,
    adblock: 0,
    dnsmasq: 0,
    rpz: 0,
    wildcard: 0,
    squidguard: 0,
    ips: 0,
  };
  let chars = 0;
  let best: SettledFormat = 'domains';
  for (const raw of lines.slice(0, DETECT_LINES)) {
    if ((chars += raw.length + 1) > DETECT_CHARS && raw !== lines[0]) break;
    const line = raw.slice(0, 300).trim();
    const looks = line === '' ? null : lookOf(line);
    if (looks === null) continue;
    votes[looks]++;
    if (votes[looks] > votes[best]) best = looks;
  }
  return best;
}

function lookOf(line: string): SettledFormat | null {
  if (/^\[adblock/i.test(line) || /^(?:\|\||@@|##)/.test(line)) return 'adblock';
  if (/^\$(?:ttl|origin)\b/i.test(line) || /\s(?:SOA|CNAME)\s/i.test(line)) return 'rpz';
  if (/^[#!;[]|^\/\//.test(line)) return null;
  if (/^(?:address|server|local)\s*=\s*\//i.test(line)) return 'dnsmasq';
  if (line.startsWith('*.')) return 'wildcard';
  const words = wordsOf(line);
  if (words.length > 1 && isHostsAddress(words[0] as string)) return 'hosts';
  return 'domains';
}
