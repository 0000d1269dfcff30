// Local records in wire form: the data of each type, from the text it is kept as. Texts were checked when they were taken in.

import { parseAddress } from '../policy/networks.ts';
import type { RecordType } from '../resolver/local-record.ts';

const TEXT_PIECE = 255;

/** The RDATA of a record (RFC 1035, RFC 2782, RFC 3596). Throws an Error for a value that `parseRecordValue` did not give. */
export function recordBytes(type: RecordType, value: string): Uint8Array {
  switch (type) {
    case 'A':
    case 'AAAA':
      return addressBytes(value);
    case 'CNAME':
    case 'PTR':
      return nameBytes(value);
    case 'MX':
    case 'SRV':
      return numbersAndName(value);
    case 'TXT':
      return textBytes(value);
  }
}

/** The wire form of a canonical name; `.` is the root. */
export function nameBytes(name: string): Uint8Array {
  if (name === '.') return new Uint8Array(1);
  const bytes = new Uint8Array(name.length + 2);
  let at = 0;
  for (const label of name.split('.')) {
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i);
  }
  return bytes;
}

function addressBytes(value: string): Uint8Array {
  const address = parseAddress(value);
  if (address === null) throw new Error(`${value} is not an address`);
  const bytes = new Uint8Array(address.words.length * 4);
  const view = new DataView(bytes.buffer);
  address.words.forEach((word, i) => view.setUint32(i * 4, word));
  return bytes;
}

function numbersAndName(value: string): Uint8Array {
  const words = value.split(' ');
  const name = nameBytes(words.pop() as string);
  const bytes = new Uint8Array(words.length * 2 + name.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint16(i * 2, Number(word)));
  bytes.set(name, words.length * 2);
  return bytes;
}

/** Strings of at most 255 bytes, which readers put together again. */
function textBytes(value: string): Uint8Array {
  const pieces = Math.max(1, Math.ceil(value.length / TEXT_PIECE));
  const bytes = new Uint8Array(value.length + pieces);
  let at = 0;
  for (let from = 0; from < pieces * TEXT_PIECE; from += TEXT_PIECE) {
    const piece = value.slice(from, from + TEXT_PIECE);
    bytes[at++] = piece.length;
    for (let i = 0; i < piece.length; i++) bytes[at++] = piece.charCodeAt(i);
  }
  return bytes;
}
