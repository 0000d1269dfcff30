// One record of the school's own DNS data, and how it is written: the same in gateway.yaml, the API and the command line.
// What a set of them must hold to is in record-rules.ts, how they are answered in the dns room.

import { canonicalName, isIpLiteral } from '../blocklist/names.ts';
import { formatAddress, parseAddress } from '../policy/networks.ts';
import type { Address } from '../policy/networks.ts';

export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'TXT', 'SRV', 'PTR'] as const;

export type RecordType = (typeof RECORD_TYPES)[number];

/** `name` is canonical, with `*.` before it for all names below that have no data; `value` is as `parseRecordValue` gives it. */
export type LocalRecord = {
  readonly name: string;
  readonly type: RecordType;
  readonly value: string;
  /** seconds that whoever asks may keep it */
  readonly ttl: number;
};

/** The school's own names as the data threads get them: the records, and the zones that are nowhere else. */
export type LocalData = {
  readonly records: readonly LocalRecord[];
  /** below these nothing is asked of an upstream */
  readonly authoritative: readonly string[];
};

export type Understood<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string; readonly advice: string };

export const DEFAULT_TTL = 60;
export const MAX_TTL = 604_800;
export const MAX_RECORDS = 10_000;
const MAX_TEXT = 1000;

const good = <T>(value: T): Understood<T> => ({ ok: true, value });
const bad = (problem: string, advice: string): Understood<never> => ({ ok: false, problem, advice });

const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 56)}…` : text);

/** Names whose answer is fixed for every resolver (RFC 6761, 7686, 9462); the other special-use names may have records. */
const FIXED = /(?:^|\.)(?:localhost|invalid|onion|resolver\.arpa)$/;
const REVERSE = /(?:^|\.)(?:in-addr|ip6)\.arpa$/;
const REVERSE_TYPES: readonly RecordType[] = ['PTR', 'CNAME', 'TXT'];

/**
 * The owner of a record in canonical form. An address stands for its reverse name and takes PTR alone. `toAscii` turns a
 * Unicode name into A-labels.
 */
export function parseRecordName(
  text: string,
  type: RecordType,
  toAscii: (name: string) => string,
): Understood<string> {
  const trimmed = text.trim();
  const address = parseAddress(trimmed);
  if (address !== null) {
    if (type === 'PTR') return good(reverseName(address));
    return bad(
      `${quote(text)} is an address, which has no ${type} record`,
      'write the name, then its address',
    );
  }
  const wildcard = trimmed.startsWith('*.');
  const name = canonicalName(wildcard ? trimmed.slice(2) : trimmed, toAscii);
  if (name === null || isIpLiteral(name)) {
    return bad(
      `${quote(text)} is not a host name`,
      'write a whole name such as printer.inside.example, or *.inside.example for all names below',
    );
  }
  if (FIXED.test(name))
    return bad(`${name} has the same answer everywhere and can have no record`, 'write another name');
  if (REVERSE.test(name) && !REVERSE_TYPES.includes(type))
    return bad(`${name} is the name of an address, which has no ${type} record`, 'write ptr with a name');
  return good(wildcard ? `*.${name}` : name);
}

/** The value of a record in the one way it is kept: `10.0.0.9`, `mail.inside.example`, `10 mail.inside.example`. */
export function parseRecordValue(
  type: RecordType,
  text: string,
  toAscii: (name: string) => string,
): Understood<string> {
  const trimmed = text.trim();
  switch (type) {
    case 'A':
    case 'AAAA': {
      const address = trimmed.includes('%') ? null : parseAddress(trimmed);
      if (address?.family === (type === 'A' ? 4 : 6)) return good(formatAddress(address));
      return type === 'A'
        ? bad(`${quote(text)} is not an IPv4 address`, 'write one such as 10.0.0.9')
        : bad(`${quote(text)} is not an IPv6 address`, 'write one such as "fd00::9"');
    }
    case 'CNAME':
    case 'PTR': {
      const name = hostName(trimmed, toAscii);
      return name === null
        ? bad(`${quote(text)} is not a host name`, 'write a whole name such as intranet.inside.example')
        : good(name);
    }
    case 'MX':
      return numbersAndName(text, 1, toAscii, 'write priority and name, such as "10 mail.inside.example"');
    case 'SRV':
      return numbersAndName(
        text,
        3,
        toAscii,
        'write priority, weight, port and name, such as "0 100 389 dc1.inside.example"',
      );
    case 'TXT':
      if (text.length > 0 && text.length <= MAX_TEXT && /^[\x20-\x7e]*$/.test(text)) return good(text);
      return bad(
        text.length > MAX_TEXT
          ? `the text is longer than ${MAX_TEXT} characters`
          : 'the text is empty or not plain ASCII',
        'write letters, digits, spaces and the signs of an English keyboard',
      );
  }
}

/** The name under which an address is looked up: `9.0.0.10.in-addr.arpa`. */
export function reverseName({ family, words }: Address): string {
  if (family === 4) {
    const word = words[0] as number;
    return `${word & 255}.${(word >>> 8) & 255}.${(word >>> 16) & 255}.${word >>> 24}.in-addr.arpa`;
  }
  const nibbles = words.map((word) => word.toString(16).padStart(8, '0')).join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}

function hostName(text: string, toAscii: (name: string) => string): string | null {
  const name = canonicalName(text, toAscii);
  return name === null || isIpLiteral(name) ? null : name;
}

/** `numbers` of 16 bits and a name; `.` says that there is no such service (RFC 2782, RFC 7505). */
function numbersAndName(
  text: string,
  numbers: number,
  toAscii: (name: string) => string,
  advice: string,
): Understood<string> {
  const words = text.trim().split(/\s+/);
  const last = words.pop() ?? '';
  const name = last === '.' ? last : hostName(last, toAscii);
  const sound =
    words.length === numbers && words.every((word) => /^\d{1,5}$/.test(word) && Number(word) <= 65_535);
  if (name === null || !sound)
    return bad(`${quote(text)} is not ${numbers === 1 ? 'an MX' : 'an SRV'} record`, advice);
  return good([...words.map(Number), name].join(' '));
}
