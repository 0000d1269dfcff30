// Reading a DNS query in place: header, question and EDNS, as offsets and numbers in a struct that is used again for
// every packet. Nothing is copied, no string is made, nothing throws. Answers of upstreams are read in response.ts.

/** RCODEs this room answers with (RFC 1035, RFC 6891 for BADVERS). */
export const NOERROR = 0;
export const FORMERR = 1;
export const SERVFAIL = 2;
export const NXDOMAIN = 3;
export const NOTIMP = 4;
export const REFUSED = 5;
export const BADVERS = 16;

/** What `parseQuery` returns besides an RCODE: the packet deserves no answer. */
export const SILENCE = -1;

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_SOA = 6;
export const TYPE_AAAA = 28;
export const TYPE_OPT = 41;
export const TYPE_SVCB = 64;
export const TYPE_HTTPS = 65;
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;
export const TYPE_ANY = 255;
export const CLASS_IN = 1;
export const CLASS_ANY = 255;

export const FLAG_CD = 0x0010;

/** The name of the question begins here in every packet. */
export const QUESTION = 12;

/** No real query comes near this; a longer one is a waste of the reader's time. */
export const MAX_QUERY = 4096;

/** Additional records a query may carry: OPT, TSIG and a little room. */
const MAX_ADDITIONAL = 4;

/** A query as offsets into its packet. Fields after the first that could not be read keep their neutral values. */
export type Query = {
  id: number;
  flags: number;
  /** offset after the root byte of the name */
  nameEnd: number;
  /** offset of the length byte of the last label, or of the root byte when there is none */
  lastLabel: number;
  labels: number;
  type: number;
  class: number;
  /** offset after the question; 12 while no question was read */
  questionEnd: number;
  edns: boolean;
  /** what the asker says it can take by UDP, at least 512 */
  udpSize: number;
  dnssecOk: boolean;
};

/** A query struct to be filled by `parseQuery`, again and again. */
export function createQuery(): Query {
  return {
    id: 0,
    flags: 0,
    nameEnd: QUESTION,
    lastLabel: QUESTION,
    labels: 0,
    type: 0,
    class: 0,
    questionEnd: QUESTION,
    edns: false,
    udpSize: 512,
    dnssecOk: false,
  };
}

export function uint16(packet: Uint8Array, at: number): number {
  return ((packet[at] as number) << 8) | (packet[at + 1] as number);
}

export function uint32(packet: Uint8Array, at: number): number {
  return ((uint16(packet, at) << 16) | uint16(packet, at + 2)) >>> 0;
}

export function putUint16(packet: Uint8Array, at: number, value: number): void {
  packet[at] = value >>> 8;
  packet[at + 1] = value & 0xff;
}

export function putUint32(packet: Uint8Array, at: number, value: number): void {
  putUint16(packet, at, value >>> 16);
  putUint16(packet, at + 2, value & 0xffff);
}

/**
 * Reads a query of `length` bytes into `query`. Returns 0 when it is a question that can be answered, `SILENCE` when it
 * deserves no answer (too short, or itself an answer), otherwise the RCODE to answer with.
 */
export function parseQuery(packet: Uint8Array, length: number, query: Query): number {
  query.questionEnd = QUESTION;
  query.edns = false;
  query.udpSize = 512;
  query.dnssecOk = false;
  if (length < QUESTION) return SILENCE;
  query.id = uint16(packet, 0);
  query.flags = uint16(packet, 2);
  // QR: answering an answer is how two servers keep each other busy for ever.
  if ((query.flags & 0x8000) !== 0) return SILENCE;
  if ((query.flags & 0x7800) !== 0) return NOTIMP;
  if (length > MAX_QUERY) return FORMERR;
  // One question, no answer and no authority records (RFC 9619 forbids QDCOUNT > 1).
  if (uint16(packet, 4) !== 1 || uint16(packet, 6) !== 0 || uint16(packet, 8) !== 0) return FORMERR;

  let at = QUESTION;
  let labels = 0;
  query.lastLabel = QUESTION;
  for (;;) {
    if (at >= length) return FORMERR;
    const size = packet[at] as number;
    if (size === 0) break;
    // A pointer has nothing before it to point to; the other label types were never put to use.
    if (size > 63) return FORMERR;
    query.lastLabel = at;
    at += size + 1;
    labels++;
    if (at - QUESTION > 254) return FORMERR;
  }
  at++;
  if (at + 4 > length) return FORMERR;
  query.nameEnd = at;
  query.labels = labels;
  query.type = uint16(packet, at);
  query.class = uint16(packet, at + 2);
  query.questionEnd = at + 4;
  return parseAdditional(packet, length, query, uint16(packet, 10));
}

/** The RCODE for a readable question that a resolver of this kind does not take; NOERROR for all others. */
export function refusalOf(query: Query): number {
  const { type } = query;
  if (query.class !== CLASS_IN && query.class !== CLASS_ANY) return REFUSED;
  if (type === TYPE_AXFR || type === TYPE_IXFR) return REFUSED;
  // Meta types (RFC 6895, section 3.1) ask for no record.
  if (type === 0 || type === TYPE_OPT || (type >= 128 && type < TYPE_ANY)) return NOTIMP;
  return NOERROR;
}

/** Finds the OPT record (RFC 6891) among the additional records; TSIG and others are stepped over. */
function parseAdditional(packet: Uint8Array, length: number, query: Query, count: number): number {
  if (count > MAX_ADDITIONAL) return FORMERR;
  let at = query.questionEnd;
  let badVersion = false;
  for (let i = 0; i < count; i++) {
    const owner = at;
    at = skipName(packet, at, length);
    if (at < 0 || at + 10 > length) return FORMERR;
    const type = uint16(packet, at);
    const data = at + 10;
    const end = data + uint16(packet, at + 8);
    if (end > length) return FORMERR;
    if (type === TYPE_OPT) {
      // Two OPT records, or one with a name, are an error by RFC 6891, section 6.1.1.
      if (query.edns || packet[owner] !== 0) return FORMERR;
      query.edns = true;
      query.udpSize = Math.max(512, uint16(packet, at + 2));
      query.dnssecOk = ((packet[at + 6] as number) & 0x80) !== 0;
      if (packet[at + 5] !== 0) badVersion = true;
      // An unknown version may lay its options out in any way, so only version 0 is checked.
      else if (!optionsFit(packet, data, end)) return FORMERR;
    }
    at = end;
  }
  return badVersion ? BADVERS : 0;
}

function optionsFit(packet: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end) {
    if (at + 4 > end) return false;
    at += 4 + uint16(packet, at + 2);
  }
  return at === end;
}

/** The offset after a name, compressed or not, without following its pointer; -1 when it is malformed. */
export function skipName(packet: Uint8Array, from: number, length: number): number {
  let at = from;
  for (;;) {
    if (at >= length) return -1;
    const size = packet[at] as number;
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2 <= length ? at + 2 : -1;
    if (size > 63) return -1;
    at += size + 1;
    if (at - from > 254) return -1;
  }
}

/**
 * Writes the name at `from` into `out` uncompressed, following pointers, which must point backwards, so that a loop
 * cannot be made. Returns the bytes written (at most 255), or -1 when it is malformed.
 */
export function expandName(packet: Uint8Array, from: number, length: number, out: Uint8Array): number {
  let at = from;
  let bound = from;
  let written = 0;
  for (;;) {
    if (at >= length) return -1;
    const size = packet[at] as number;
    if (size >= 0xc0) {
      if (at + 2 > length) return -1;
      const target = ((size & 0x3f) << 8) | (packet[at + 1] as number);
      if (target < QUESTION || target >= bound) return -1;
      at = bound = target;
      continue;
    }
    if (size > 63 || written + size + 1 > 255 || at + size + 1 > length) return -1;
    for (let i = 0; i <= size; i++) out[written++] = packet[at++] as number;
    if (size === 0) return written;
  }
}

/** Whether the last label is `label` (lower case ASCII bytes), in any case of letters. */
export function lastLabelIs(packet: Uint8Array, query: Query, label: Uint8Array): boolean {
  const at = query.lastLabel;
  if (packet[at] !== label.length) return false;
  for (let i = 0; i < label.length; i++) {
    if (lower(packet[at + 1 + i] as number) !== label[i]) return false;
  }
  return true;
}

/** An ASCII byte in lower case; every other byte as it is. */
export function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
