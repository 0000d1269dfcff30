// Writing an upstream's answer for the one who asks now: the kept bytes as they are, with the asker's id, flags and
// spelling of the name, TTLs counted down, and OPT of our own. What may be given to whom was decided before.

import type { AnswerStore } from './answer-store.ts';
import { appendOpt, truncatedReply } from './replies.ts';
import type { Place } from './slab.ts';
import type { Query } from './wire.ts';
import { QUESTION, putUint16, putUint32, uint16, uint32 } from './wire.ts';

const FLAG_AD = 0x0020;
const FLAG_RA = 0x0080;
/** The bits that belong to the asker: RD and CD. */
const ASKERS = 0x0110;
/** Shorter bodies are copied byte by byte, which costs less than the call that copies longer ones. */
const SHORT = 200;

/**
 * Writes the answer at `place` for the question in `packet`. `age` is the answer's in seconds, `cap` the most any TTL may
 * say, `limit` the most bytes the asker takes: what is longer becomes an empty answer with TC. Returns the length.
 */
export function relayReply(
  out: Uint8Array,
  packet: Uint8Array,
  query: Query,
  store: AnswerStore,
  place: Place,
  age: number,
  cap: number,
  limit: number,
  ede: number,
): number {
  const { bytes } = store;
  const rcode = store.rcode(place);
  const size = store.bodyLength(place);
  if (size > limit) return truncatedReply(out, 0, packet, query, rcode);
  const body = store.bodyAt(place);
  if (size > SHORT) out.set(bytes.subarray(body, body + size));
  else for (let i = 4; i < size; i++) out[i] = bytes[body + i] as number;
  putUint16(out, 0, query.id);
  let flags = (uint16(bytes, body + 2) & ~ASKERS) | (query.flags & ASKERS) | FLAG_RA;
  // AD only for those who show that they know what it means (RFC 6840, section 5.8).
  if (!query.dnssecOk && (query.flags & FLAG_AD) === 0) flags &= ~FLAG_AD;
  putUint16(out, 2, flags);
  for (let i = QUESTION; i < query.nameEnd; i++) out[i] = packet[i] as number;
  let entry = store.ttlsAt(place);
  for (let n = store.ttlCount(place); n > 0; n--, entry += 2) {
    const at = uint16(bytes, entry);
    const left = uint32(out, at) - age;
    putUint32(out, at, left < 0 ? 0 : left > cap ? cap : left);
  }
  const end = appendOpt(out, 0, size, query, rcode >>> 4, ede, store.extendedErrors(place));
  return end > limit ? truncatedReply(out, 0, packet, query, rcode) : end;
}
