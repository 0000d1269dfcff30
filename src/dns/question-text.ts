// A question as text: the canonical name for the audit log, and the names of types.

import type { Query } from './wire.ts';
import { QUESTION, lower } from './wire.ts';

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

/** Text of the question last read; `read` first. */
export type QuestionText = {
  read(packet: Uint8Array, query: Query): void;
  /** lower case, dots between labels, `.` for the root; bytes that no host name has are written `\ddd` */
  host(): string;
};

/** One for each handler; its memory is used again for every question. */
export function createQuestionText(): QuestionText {
  // At worst every byte of a name becomes four.
  const text = Buffer.alloc(4 * 255);
  let end = 0;

  function put(byte: number): void {
    text[end++] = byte;
  }

  return {
    read(packet, query) {
      end = 0;
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
      if (end === 0) put(0x2e);
    },
    host: () => text.toString('latin1', 0, end),
  };
}
