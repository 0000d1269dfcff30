// Writing answers out of data that is nowhere but here: authoritative, with the SOA of the zone in negative ones (RFC 2308)
// and for its apex. Bytes only; what is answered is decided in special-names.ts and local-records.ts.

import { EDE_NONE, appendOpt, beginReply, putHead } from './replies.ts';
import type { Query } from './wire.ts';
import { NOERROR, QUESTION, TYPE_SOA, putUint16, putUint32 } from './wire.ts';

export const TYPE_NS = 2;

/** No SOA or NS that is written here takes more; OPT is in it. */
export const ZONE_ROOM = 96;

const FLAG_AA = 0x04;
const CONTACT = Uint8Array.from('\x06nobody\x07invalid\x00', (letter) => letter.charCodeAt(0));

/** Header and question, with AA; returns where the records begin. */
export function beginOwn(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
): number {
  const at = beginReply(out, base, packet, query, rcode);
  out[base + 2] = (out[base + 2] as number) | FLAG_AA;
  return at;
}

/** One more record in the section whose count is at `count` of the header: 6 answers, 8 authorities. */
export function countRecord(out: Uint8Array, base: number, count: number): void {
  putUint16(
    out,
    base + count,
    (((out[base + count] as number) << 8) | (out[base + count + 1] as number)) + 1,
  );
}

/**
 * The SOA of the zone that is the last `labels` labels of the uncompressed name at `name`, an offset in the message. RFC
 * 6303, section 3 words it so; its TTL and minimum are `ttl`.
 */
export function putSoa(
  out: Uint8Array,
  base: number,
  from: number,
  name: number,
  labels: number,
  ttl: number,
): number {
  const zone = zoneOffset(out, base, name, labels);
  const size = 2 + CONTACT.length + 20;
  let at = putHead(out, from, zone, TYPE_SOA, ttl, size);
  putUint16(out, at, 0xc000 | zone);
  out.set(CONTACT, at + 2);
  at += 2 + CONTACT.length;
  putUint32(out, at, 1); // serial
  putUint32(out, at + 4, 3600); // refresh
  putUint32(out, at + 8, 1200); // retry
  putUint32(out, at + 12, 604_800); // expire
  putUint32(out, at + 16, ttl); // minimum
  return at + 20;
}

/** NS of a zone's apex: by RFC 6303 the zone is its own server. */
function putNs(out: Uint8Array, from: number, zone: number, ttl: number): number {
  const at = putHead(out, from, zone, TYPE_NS, ttl, 2);
  putUint16(out, at, 0xc000 | zone);
  return at + 2;
}

/** NXDOMAIN or NODATA for the name asked, in the zone of its last `labels` labels. */
export function emptyReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
  labels: number,
  ttl: number,
): number {
  const from = beginOwn(out, base, packet, query, rcode);
  const end = putSoa(out, base, from, QUESTION, labels, ttl);
  countRecord(out, base, 8);
  return appendOpt(out, base, end, query, 0, EDE_NONE);
}

/** What the apex of a zone answers of itself: SOA or NS; for other types there is no data. */
export function apexReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  ttl: number,
): number {
  if (query.type !== TYPE_SOA && query.type !== TYPE_NS)
    return emptyReply(out, base, packet, query, NOERROR, query.labels, ttl);
  const from = beginOwn(out, base, packet, query, NOERROR);
  const end =
    query.type === TYPE_SOA
      ? putSoa(out, base, from, QUESTION, query.labels, ttl)
      : putNs(out, from, QUESTION, ttl);
  countRecord(out, base, 6);
  return appendOpt(out, base, end, query, 0, EDE_NONE);
}

/** Where in the uncompressed name at `name` its last `labels` labels begin. */
function zoneOffset(out: Uint8Array, base: number, name: number, labels: number): number {
  let count = 0;
  for (let at = base + name; out[at] !== 0; at += (out[at] as number) + 1) count++;
  let at = base + name;
  for (; count > labels; count--) at += (out[at] as number) + 1;
  return at - base;
}
