// A question as text: the canonical name for the audit log, the key of the cache, and the names of types. One pass over
// the bytes of the name, one string for each use.

import type { Query } from './wire.ts';
import { CLASS_ANY, QUESTION, lower } from './wire.ts';

/** Bytes of the key that come before the name: type, and what else tells two answers apart. */
const PREFIX = 3;
const FLAG_CD = 0x0010;

const TYPES: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  10: 'NULL',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  24: 'SIG',
  25: 'KEY',
  28: 'AAAA',
  29: 'LOC',
  33: 'SRV',
  35: 'NAPTR',
  39: 'DNAME',
  43: 'DS',
  44: 'SSHFP',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  50: 'NSEC3',
  51: 'NSEC3PARAM',
  52: 'TLSA',
  61: 'OPENPGPKEY',
  64: 'SVCB',
  65: 'HTTPS',
  99: 'SPF',
  255: 'ANY',
  256: 'URI',
  257: 'CAA',
};

/** `AAAA`, or `TYPE65280` for a type without a name here (RFC 3597). */
export function typeName(type: number): string {
  return TYPES[type] ?? `TYPE${type}`;
}

/** Text of the question last read; `read` first, then as many strings as are wanted. */
export type QuestionText = {
  read(packet: Uint8Array, query: Query): void;
  /** lower case, dots between labels, `.` for the root; bytes that no host name has are written `\ddd` */
  host(): string;
  /** name, type, class and the flags that change an answer (DO, CD); another key for every other answer */
  key(): string;
};

/** The host of a key that `QuestionText.key` gave. */
export function hostOfKey(key: string): string {
  return key.slice(PREFIX);
}

/** One for each handler; its memory is used again for every question. */
export function createQuestionText(): QuestionText {
  // At worst every byte of a name becomes four.
  const text = Buffer.alloc(PREFIX + 4 * 255);
  let end = PREFIX;

  function put(byte: number): void {
    text[end++] = byte;
  }

  return {
    read(packet, query) {
      text[0] = query.type >>> 8;
      text[1] = query.type & 0xff;
      text[2] =
        (query.dnssecOk ? 1 : 0) |
        ((query.flags & FLAG_CD) !== 0 ? 2 : 0) |
        (query.class === CLASS_ANY ? 4 : 0);
      end = PREFIX;
      let at = QUESTION;
      for (let label = 0; label < query.labels; label++) {
        if (label > 0) put(0x2e);
        const stop = at + 1 + (packet[at] as number);
        for (at++; at < stop; at++) {
          const byte = lower(packet[at] as number);
          if (byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c) put(byte);
          else {
            put(0x5c);
            put(0x30 + Math.floor(byte / 100));
            put(0x30 + (Math.floor(byte / 10) % 10));
            put(0x30 + (byte % 10));
          }
        }
      }
      if (end === PREFIX) put(0x2e);
    },
    host: () => text.toString('latin1', PREFIX, end),
    key: () => text.toString('latin1', 0, end),
  };
}
