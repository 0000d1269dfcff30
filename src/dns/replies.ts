// Writing the answers that the gateway makes itself: blocks, refusals, errors. Bytes only, into memory that is handed
// in; which answer is given is decided in handle.ts, and answers of upstreams are written in relay.ts.

import type { Query } from './wire.ts';
import {
  CLASS_IN,
  NOERROR,
  NXDOMAIN,
  QUESTION,
  TYPE_A,
  TYPE_AAAA,
  TYPE_OPT,
  TYPE_SOA,
  putUint16,
  putUint32,
} from './wire.ts';

/** Extended DNS errors (RFC 8914) that the gateway gives. */
export const EDE_NONE = -1;
export const EDE_OTHER = 0;
export const EDE_STALE = 3;
export const EDE_NOT_READY = 14;
export const EDE_BLOCKED = 15;
export const EDE_FILTERED = 17;
export const EDE_PROHIBITED = 18;
export const EDE_NETWORK_ERROR = 23;

/** A client's own cache forgets a block after so many seconds, so that an unblock is felt at once. */
export const BLOCK_TTL = 10;

/** What the gateway says it can take by UDP, and the most it sends: no fragments on any usual path. */
export const UDP_PAYLOAD = 1232;

const FLAG_TC = 0x0200;
const TYPE_HINFO = 13;

/** How a blocked name is answered: it does not exist, the null address, or the address of the gateway's own page. */
export type BlockStyle = 'nxdomain' | 'null' | 'page';

/** Addresses of the gateway's page: 4 and 16 bytes, or null. */
export type PageAddresses = { readonly v4: Uint8Array | null; readonly v6: Uint8Array | null };

const NULL_ADDRESSES: PageAddresses = { v4: new Uint8Array(4), v6: new Uint8Array(16) };

/**
 * A reply without records: `rcode` (0 to 4095) and, when the asker spoke EDNS, OPT with `ede` unless that is `EDE_NONE`.
 * Written at `base`; `base` + the question + 128 must be inside `out`. Returns the offset after it, as do all below.
 */
export function errorReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
  ede: number,
): number {
  const end = beginReply(out, base, packet, query, rcode & 15);
  return appendOpt(out, base, end, query, rcode >>> 4, ede);
}

/** An empty answer with TC: what did not fit must be asked for by TCP. */
export function truncatedReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
): number {
  const end = beginReply(out, base, packet, query, rcode & 15);
  putUint16(out, base + 2, ((out[base + 2] as number) << 8) | (out[base + 3] as number) | FLAG_TC);
  return appendOpt(out, base, end, query, rcode >>> 4, EDE_NONE);
}

/** NXDOMAIN or NODATA (`rcode` 0) with the SOA that lets a resolver remember it for `ttl` seconds (RFC 2308). */
export function negativeReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
  ttl: number,
  ede: number,
): number {
  let end = beginReply(out, base, packet, query, rcode);
  end = putEmptySoa(out, end, QUESTION, ttl);
  putUint16(out, base + 8, 1);
  return appendOpt(out, base, end, query, 0, ede);
}

/** One address record for the name asked for: 4 bytes for A, 16 for AAAA. */
function addressReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  address: Uint8Array,
  ttl: number,
  ede: number,
): number {
  let end = beginReply(out, base, packet, query, NOERROR);
  end = putHead(out, end, QUESTION, address.length === 4 ? TYPE_A : TYPE_AAAA, ttl, address.length);
  out.set(address, end);
  end += address.length;
  putUint16(out, base + 6, 1);
  return appendOpt(out, base, end, query, 0, ede);
}

/** The block answer in the style the school chose; types that have no address get NODATA under `null` and `page`. */
export function blockReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  style: BlockStyle,
  page: PageAddresses,
  ttl: number,
  ede: number,
): number {
  if (style === 'nxdomain') return negativeReply(out, base, packet, query, NXDOMAIN, ttl, ede);
  const addresses = style === 'page' ? page : NULL_ADDRESSES;
  const address = query.type === TYPE_A ? addresses.v4 : query.type === TYPE_AAAA ? addresses.v6 : null;
  if (address === null) return negativeReply(out, base, packet, query, NOERROR, ttl, ede);
  return addressReply(out, base, packet, query, address, ttl, ede);
}

/** The short answer to ANY that RFC 8482, section 4.2 describes. */
export function anyReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  ttl: number,
): number {
  let end = beginReply(out, base, packet, query, NOERROR);
  const text = 'RFC8482';
  end = putHead(out, end, QUESTION, TYPE_HINFO, ttl, text.length + 2);
  out[end++] = text.length;
  for (let i = 0; i < text.length; i++) out[end++] = text.charCodeAt(i);
  out[end++] = 0;
  putUint16(out, base + 6, 1);
  return appendOpt(out, base, end, query, 0, EDE_NONE);
}

/**
 * Adds OPT (RFC 6891) with our size, the asker's DO and up to one extended error, if the asker spoke EDNS; nothing
 * otherwise. `extended` is the upper part of the RCODE. `options` are further options, already in wire form.
 */
export function appendOpt(
  out: Uint8Array,
  base: number,
  from: number,
  query: Query,
  extended: number,
  ede: number,
  options: Uint8Array | null = null,
): number {
  if (!query.edns) return from;
  let at = from;
  out[at] = 0;
  putUint16(out, at + 1, TYPE_OPT);
  putUint16(out, at + 3, UDP_PAYLOAD);
  out[at + 5] = extended;
  out[at + 6] = 0;
  putUint16(out, at + 7, query.dnssecOk ? 0x8000 : 0);
  const data = at + 11;
  at = data;
  if (ede !== EDE_NONE) {
    putUint16(out, at, 15);
    putUint16(out, at + 2, 2);
    putUint16(out, at + 4, ede);
    at += 6;
  }
  if (options !== null) {
    out.set(options, at);
    at += options.length;
  }
  putUint16(out, data - 2, at - data);
  putUint16(out, base + 10, (((out[base + 10] as number) << 8) | (out[base + 11] as number)) + 1);
  return at;
}

/** Header and the asker's question, letter for letter; opcode, RD and CD are the asker's, RA is ours. */
export function beginReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  rcode: number,
): number {
  putUint16(out, base, query.id);
  putUint16(out, base + 2, 0x8080 | (query.flags & 0x7910) | rcode);
  putUint16(out, base + 4, query.questionEnd > QUESTION ? 1 : 0);
  putUint16(out, base + 6, 0);
  putUint32(out, base + 8, 0);
  for (let i = QUESTION; i < query.questionEnd; i++) out[base + i] = packet[i] as number;
  return base + query.questionEnd;
}

/** Owner (a pointer to the name at `owner`, an offset in the message), type, class, TTL and length; returns where the data begins. */
export function putHead(
  out: Uint8Array,
  at: number,
  owner: number,
  type: number,
  ttl: number,
  size: number,
): number {
  putUint16(out, at, 0xc000 | owner);
  putUint16(out, at + 2, type);
  putUint16(out, at + 4, CLASS_IN);
  putUint32(out, at + 6, ttl);
  putUint16(out, at + 10, size);
  return at + 12;
}

/** Bytes of the SOA below. */
export const EMPTY_SOA_SIZE = 34;

/** A SOA with root names: only its TTL and minimum mean anything, and both are `ttl`. Returns the offset after it. */
export function putEmptySoa(out: Uint8Array, at: number, owner: number, ttl: number): number {
  const data = putHead(out, at, owner, TYPE_SOA, ttl, EMPTY_SOA_SIZE - 12);
  out[data] = 0;
  out[data + 1] = 0;
  putUint32(out, data + 2, 1); // serial
  putUint32(out, data + 6, 3600); // refresh
  putUint32(out, data + 10, 600); // retry
  putUint32(out, data + 14, 86400); // expire
  putUint32(out, data + 18, ttl); // minimum
  return at + EMPTY_SOA_SIZE;
}
