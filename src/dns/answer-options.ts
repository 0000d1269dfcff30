// What a stream adds to an answer that is written already: padding (RFC 7830, 8467), the time it keeps a connection
// (RFC 7828), and, for DoH, how long the answer may be kept. Bytes in place; an answer that cannot be read is left as it is.

import {
  NOERROR,
  NXDOMAIN,
  QUESTION,
  TYPE_OPT,
  TYPE_SOA,
  putUint16,
  skipName,
  uint16,
  uint32,
} from './wire.ts';

/** Answers over encrypted transports are as long as a multiple of this, so that their length says little. */
export const PADDING_BLOCK = 468;

const OPTION_KEEPALIVE = 11;
const OPTION_PADDING = 12;
const LONGEST = 65_535;

/** Where OPT is in an answer of `length` bytes that ends with it; -1 when there is none or it is not the last record. */
function lastOpt(answer: Uint8Array, length: number): number {
  let at = skipQuestions(answer, length);
  let last = -1;
  const records = uint16(answer, 6) + uint16(answer, 8) + uint16(answer, 10);
  for (let i = 0; i < records; i++) {
    if (at < 0) return -1;
    const owner = at;
    at = skipName(answer, at, length);
    if (at < 0 || at + 10 > length) return -1;
    last = uint16(answer, at) === TYPE_OPT && answer[owner] === 0 ? owner : -1;
    at += 10 + uint16(answer, at + 8);
  }
  return at === length ? last : -1;
}

function skipQuestions(message: Uint8Array, length: number): number {
  if (length < QUESTION) return -1;
  let at = QUESTION;
  for (let i = uint16(message, 4); i > 0; i--) {
    at = skipName(message, at, length);
    if (at < 0 || at + 4 > length) return -1;
    at += 4;
  }
  return at;
}

/** Puts an option of `size` bytes, all zero, at the end of the answer; returns where its data begins, or -1. */
function addOption(answer: Uint8Array, length: number, opt: number, code: number, size: number): number {
  const end = length + 4 + size;
  const data = uint16(answer, opt + 9) + 4 + size;
  if (end > LONGEST || end > answer.length || data > 0xffff) return -1;
  putUint16(answer, opt + 9, data);
  putUint16(answer, length, code);
  putUint16(answer, length + 2, size);
  answer.fill(0, length + 4, end);
  return length + 4;
}

/** Says how long the connection may rest, to one who asked by `wantsKeepAlive`. Returns the new length. */
export function addKeepAlive(answer: Uint8Array, length: number, restMs: number): number {
  const opt = lastOpt(answer, length);
  if (opt < 0) return length;
  const at = addOption(answer, length, opt, OPTION_KEEPALIVE, 2);
  if (at < 0) return length;
  putUint16(answer, at, Math.min(0xffff, Math.floor(restMs / 100)));
  return at + 2;
}

/** Pads an answer to one who speaks EDNS. `answer` needs room for a block more. Returns the new length. */
export function padAnswer(answer: Uint8Array, length: number): number {
  const opt = lastOpt(answer, length);
  if (opt < 0) return length;
  const padded = Math.min(LONGEST, Math.ceil((length + 4) / PADDING_BLOCK) * PADDING_BLOCK);
  if (padded < length + 4) return length;
  const at = addOption(answer, length, opt, OPTION_PADDING, padded - length - 4);
  return at < 0 ? length : padded;
}

/** Whether a query carries the option that asks how long its connection may rest. */
export function wantsKeepAlive(packet: Uint8Array, length: number): boolean {
  let at = skipQuestions(packet, length);
  // A usual query ends with an OPT without options, which is 11 bytes.
  if (at < 0 || length - at < 15) return false;
  for (let i = uint16(packet, 10); i > 0; i--) {
    at = skipName(packet, at, length);
    if (at < 0 || at + 10 > length) return false;
    const end = Math.min(length, at + 10 + uint16(packet, at + 8));
    if (uint16(packet, at) === TYPE_OPT) {
      for (let option = at + 10; option + 4 <= end; option += 4 + uint16(packet, option + 2))
        if (uint16(packet, option) === OPTION_KEEPALIVE) return true;
      return false;
    }
    at = end;
  }
  return false;
}

/**
 * Seconds for which an answer may be kept (RFC 8484, section 5.1): the lowest TTL, for "no such name" and "no such record"
 * the SOA's minimum if that is lower, and 0 for errors and for what cannot be read.
 */
export function freshness(answer: Uint8Array, length: number): number {
  let at = skipQuestions(answer, length);
  const rcode = length < QUESTION ? -1 : (answer[3] as number) & 15;
  if (at < 0 || (rcode !== NOERROR && rcode !== NXDOMAIN)) return 0;
  let lowest = -1;
  for (let i = uint16(answer, 6) + uint16(answer, 8); i > 0; i--) {
    at = skipName(answer, at, length);
    if (at < 0 || at + 10 > length) return 0;
    const end = at + 10 + uint16(answer, at + 8);
    if (end > length) return 0;
    let ttl = uint32(answer, at + 4);
    if (uint16(answer, at) === TYPE_SOA && end - at >= 14) ttl = Math.min(ttl, uint32(answer, end - 4));
    if (lowest < 0 || ttl < lowest) lowest = ttl;
    at = end;
  }
  return Math.max(0, lowest);
}
