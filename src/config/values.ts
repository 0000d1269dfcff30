// The single values of the two files: durations, sizes, addresses, networks, names, times of day.
// Each parser says what is wrong and what to write. It knows nothing of keys or files.

import { domainToASCII } from 'node:url';
import { canonicalName } from '../blocklist/names.ts';
import {
  formatAddress,
  parseAddress as readAddress,
  parseNetwork as readNetwork,
} from '../policy/networks.ts';
import { readMatchId } from '../policy/clients.ts';
import type { Network } from '../policy/networks.ts';
import type { ListenAddress } from './types.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string; readonly advice: string };

const good = <T>(value: T): Parsed<T> => ({ ok: true, value });
const bad = (problem: string, advice: string): Parsed<never> => ({ ok: false, problem, advice });

/** A value as it is quoted in a message: one line, cut when long. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 56)}…"` : text;
}

const DURATION_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `30m`, `12h`, `365d` to milliseconds. */
export function parseDuration(text: string): Parsed<number> {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unit = DURATION_MS[match?.[2] ?? ''];
  if (!match || !unit || Number(match[1]) === 0) {
    return bad(`${quote(text)} is not a length of time`, 'write a number and s, m, h or d, for example 365d');
  }
  return good(Number(match[1]) * unit);
}

const SIZE_BYTES: Record<string, number> = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

/** `500MB`, `4GB` to bytes; 1 GB is 1,000,000,000 bytes. */
export function parseSize(text: string): Parsed<number> {
  const match = /^(\d{1,6})([KMGT]B)$/i.exec(text);
  const unit = SIZE_BYTES[(match?.[2] ?? '').toUpperCase()];
  if (!match || !unit || Number(match[1]) === 0) {
    return bad(`${quote(text)} is not a size`, 'write a number and KB, MB, GB or TB, for example 4GB');
  }
  return good(Number(match[1]) * unit);
}

/** A size of the DNS cache. */
export function parseCacheSize(text: string): Parsed<number> {
  const size = parseSize(text);
  if (!size.ok || (size.value >= 1e6 && size.value <= 1e9)) return size;
  return bad(`${quote(text)} is not a size for the cache`, 'write a size from 1MB to 1GB, for example 32MB');
}

/** An address in its one way of writing; `::ffff:` forms become the IPv4 address they carry. */
function parseIp(text: string): string | null {
  const address = text.includes('%') ? null : readAddress(text);
  return address === null ? null : formatAddress(address);
}

/** An IPv4 address alone. */
export function parseV4(text: string): Parsed<string> {
  const address = parseIp(text);
  if (address !== null && !address.includes(':')) return good(address);
  return bad(`${quote(text)} is not an IPv4 address`, 'write one such as 10.0.0.1');
}

/** An IPv6 address alone. */
export function parseV6(text: string): Parsed<string> {
  const address = parseIp(text);
  if (address?.includes(':')) return good(address);
  return bad(`${quote(text)} is not an IPv6 address`, 'write one such as "fd00::1"');
}

/** `127.0.0.1:1053` or `[::1]:1053`. */
export function parseListen(text: string): Parsed<ListenAddress> {
  const advice = 'write address:port, for example 127.0.0.1:1053 or "[::1]:1053"';
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (!match) return bad(`${quote(text)} is not an address with a port`, advice);
  const bracketed = match[1] !== undefined;
  const host = match[1] ?? match[2] ?? '';
  const address = parseIp(host);
  if (!address || bracketed !== address.includes(':'))
    return bad(`${quote(host)} is not an IP address`, advice);
  const port = Number(match[3]);
  if (port > 65535) return bad(`port ${port} does not exist`, 'write a port from 0 (any free one) to 65535');
  return good({ address, port });
}

function networkText(network: Network): string {
  const address = formatAddress(network.address);
  return network.prefix === (network.address.family === 4 ? 32 : 128)
    ? address
    : `${address}/${network.prefix}`;
}

/** `10.2.0.7`, `10.2.0.0/24`, `2001:db8::/48`; the value is the network in its one way of writing. */
export function parseNetwork(text: string): Parsed<string> {
  const network = text.includes('%') ? null : readNetwork(text);
  if (network === null) {
    return bad(
      `${quote(text)} is not an address or network`,
      'write one such as 10.2.0.7, 10.2.0.0/24 or "2001:db8::/48"',
    );
  }
  if (network.hadHostBits) {
    const one = text.slice(0, text.indexOf('/'));
    return bad(
      `${quote(text)} begins inside its network`,
      `write ${networkText(network)} for the network or ${one} for the one address`,
    );
  }
  return good(networkText(network));
}

/** What tells a client: an address, a network, or `id:` and the label that a DoT or DoH device sends. */
export function parseMatch(text: string): Parsed<string> {
  if (!/^id:/i.test(text)) return parseNetwork(text);
  const id = readMatchId(text);
  if (id !== null) return good(`id:${id}`);
  return bad(
    `${quote(text)} is not a client id`,
    'write id: and 1 to 63 letters, digits or hyphens, for example "id:tablet-7"',
  );
}

/** A host name in canonical form. It stands for itself and all below it. */
export function parseName(text: string): Parsed<string> {
  const trimmed = text.trim();
  const advice = 'write a name alone, for example bbc.co.uk (it covers all names below it too)';
  const inner = /^(?:[a-z][a-z0-9+.-]*:\/\/)?(?:\*\.|\.)?([^/:?#*]+)/i.exec(trimmed)?.[1];
  const name = canonicalName(trimmed, domainToASCII);
  if (name !== null && !trimmed.startsWith('.')) return good(name);
  const meant = inner === undefined || inner === trimmed ? null : canonicalName(inner, domainToASCII);
  return bad(
    `${quote(text)} is not a host name`,
    meant === null ? advice : `write ${meant} (it covers all names below it too)`,
  );
}

/** A name whose DNS servers are known. For a network it is told what its reverse names are below. */
export function parseZoneName(text: string): Parsed<string> {
  const parsed = parseName(text);
  const network = parsed.ok ? null : readNetwork(text);
  if (parsed.ok || network === null) return parsed;
  const bytes = /^(\d+)\.(\d+)\.(\d+)\.\d+\/(?:8|16|24)$/.exec(text);
  const labels = bytes?.slice(1, 1 + Number(text.slice(text.indexOf('/') + 1)) / 8).reverse();
  const zone =
    labels === undefined
      ? 'the name that the names of its addresses are below, such as 10.in-addr.arpa'
      : `${labels.join('.')}.in-addr.arpa`;
  return bad(`${quote(text)} is a network, not a name`, `write ${zone}`);
}

/** A host name or a network: what `allow_private` holds. */
export function parseNameOrNetwork(text: string): Parsed<string> {
  const numeric = /^[\d.]+(\/|$)/.test(text) || (text.includes(':') && !text.includes('://'));
  return numeric ? parseNetwork(text) : parseName(text);
}

/** `HH:MM` on the school's clock to minutes from midnight; 24:00 is the end of the day. */
export function parseClock(text: string): Parsed<number> {
  const match = /^(\d{2}):(\d{2})$/.exec(text);
  const minutes = match ? Number(match[1]) * 60 + Number(match[2]) : NaN;
  if (!match || Number(match[2]) > 59 || minutes > 1440) {
    return bad(
      `${quote(text)} is not a time of day`,
      'write "HH:MM" with two digits each, for example "09:05"',
    );
  }
  return good(minutes);
}

/** A moment with its offset from UTC, to UTC milliseconds. */
export function parseMoment(text: string): Parsed<number> {
  const match = /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d{2}:\d{2})$/.exec(text);
  const advice =
    'write date, time and offset from UTC, for example 2026-07-21T16:00+01:00 or 2026-01-09T09:00Z';
  const at = match ? Date.parse(text) : NaN;
  // Date.parse rolls 30 February over into March
  const days = match ? new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate() : 0;
  if (!match || Number.isNaN(at) || Number(match[3]) > days)
    return bad(`${quote(text)} is not a moment in time`, advice);
  return good(at);
}

/** An IANA zone name. */
export function parseZone(text: string): Parsed<string> {
  const problem = bad(`${quote(text)} is not a time zone`, 'write an IANA name, for example Europe/London');
  if (!/^[A-Za-z]/.test(text)) return problem;
  try {
    return good(new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone);
  } catch {
    return problem;
  }
}

/** A label of our own: of a group, category, list, timetable or site. */
export function parseIdentifier(text: string): Parsed<string> {
  if (/^[a-z0-9][a-z0-9_-]{0,47}$/.test(text)) return good(text);
  return bad(
    `${quote(text)} cannot be a name`,
    'write 1 to 48 lower-case letters, digits, - or _, for example year-2',
  );
}

/** Text that people read: one line, not empty. */
export function parseText(text: string): Parsed<string> {
  const trimmed = text.trim();
  if (trimmed === '') return bad('is empty', 'write a few words');
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (trimmed.length > 120 || /[\u0000-\u001f\u007f]/.test(trimmed)) {
    return bad('is too long or holds line breaks', 'write one line of at most 120 characters');
  }
  return good(trimmed);
}
