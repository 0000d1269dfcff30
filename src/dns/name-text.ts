// A question in words, for the audit log: the name as text and the type by its usual name.

import type { Query } from './wire.ts';
import { QUESTION, lower } from './wire.ts';

const TYPES: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  28: 'AAAA',
  33: 'SRV',
  35: 'NAPTR',
  43: 'DS',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  52: 'TLSA',
  64: 'SVCB',
  65: 'HTTPS',
  255: 'ANY',
  257: 'CAA',
};

/** `A`, or `TYPE65280` for a type without a name here (RFC 3597). */
export function typeText(type: number): string {
  return TYPES[type] ?? `TYPE${type}`;
}

/** The question's name in lower case without the final dot; bytes that no host name has as `\DDD` (RFC 1035, section 5.1). */
export function nameText(packet: Uint8Array, query: Query): string {
  let text = '';
  let at = QUESTION;
  for (;;) {
    const size = packet[at] as number;
    if (size === 0) return text === '' ? '.' : text;
    if (text !== '') text += '.';
    for (let i = at + 1; i <= at + size; i++) {
      const byte = lower(packet[i] as number);
      const plain =
        (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
      text += plain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
    }
    at += size + 1;
    if (at >= query.nameEnd) return text;
  }
}
