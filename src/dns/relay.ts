// Writing an upstream's answer for the one who asks now: the kept bytes as they are, with the asker's id, flags and
// spelling of the name, TTLs counted down, and OPT of our own. What may be given to whom was decided before.

import type { Entry } from './cache.ts';
import { originalTtl } from './cache.ts';
import { appendOpt, truncatedReply } from './replies.ts';
import type { Query } from './wire.ts';
import { QUESTION, putUint16, putUint32, uint16 } from './wire.ts';

const FLAG_AD = 0x0020;
const FLAG_RA = 0x0080;
/** The bits that belong to the asker: RD and CD. */
const ASKERS = 0x0110;

/** Room that OPT can need beside the kept bytes: its record, one extended error of ours and those of the upstream. */
export const RELAY_ROOM = 11 + 6 + 256;

/**
 * Writes `entry` at `base` for the question in `packet`. `age` is the entry's in seconds, `cap` the most any TTL may say,
 * `limit` the most bytes the asker takes: what is longer becomes an empty answer with TC. Returns the offset after it.
 */
export function relayReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  entry: Entry,
  age: number,
  cap: number,
  limit: number,
  ede: number,
): number {
  const { bytes } = entry;
  out.set(bytes, base);
  putUint16(out, base, query.id);
  let flags = (uint16(bytes, 2) & ~ASKERS) | (query.flags & ASKERS) | FLAG_RA;
  // AD only for those who show that they know what it means (RFC 6840, section 5.8).
  if (!query.dnssecOk && (query.flags & FLAG_AD) === 0) flags &= ~FLAG_AD;
  putUint16(out, base + 2, flags);
  for (let i = QUESTION; i < query.nameEnd; i++) out[base + i] = packet[i] as number;
  const { ttls } = entry;
  for (let i = 0; i < ttls.length; i++) {
    const at = ttls[i] as number;
    const left = originalTtl(entry, at) - age;
    putUint32(out, base + at, left < 0 ? 0 : left > cap ? cap : left);
  }
  const end = appendOpt(out, base, base + bytes.length, query, entry.rcode >>> 4, ede, entry.extendedErrors);
  return end - base > limit ? truncatedReply(out, base, packet, query, entry.rcode) : end;
}
