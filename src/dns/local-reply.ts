// The answer of a local name, written out: its records, the CNAMEs between, or that it has none. Bytes only.

import type { LocalName, RecordSet } from './local-records.ts';
import { EDE_NONE, anyReply, appendOpt, putHead, truncatedReply } from './replies.ts';
import type { Query } from './wire.ts';
import { NOERROR, QUESTION, TYPE_ANY, TYPE_CNAME } from './wire.ts';
import { ZONE_ROOM, apexReply, beginOwn, countRecord, putSoa } from './zone-answers.ts';

/** What is not there may be remembered no longer than what is, so that a record that is added shows soon. */
const EMPTY_TTL = 60;
const TYPE_SOA = 6;
const TYPE_NS = 2;
/** No name leads further: longer chains are refused when they are written. */
const MAX_CHAIN = 8;

/**
 * Writes the answer at `base`; returns the offset after it. `room` is how many bytes the answer may have: 1,232 or what
 * the asker takes by UDP, 65,535 on a stream. When they do not do, the answer says so (TC).
 */
export function localReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  local: LocalName,
  room: number,
): number {
  const { type } = query;
  if (type === TYPE_ANY && local.rcode === NOERROR) return anyReply(out, base, packet, query, EMPTY_TTL);
  if (local.apex && (type === TYPE_SOA || type === TYPE_NS))
    return apexReply(out, base, packet, query, EMPTY_TTL);
  const most = base + room - ZONE_ROOM;
  let end = beginOwn(out, base, packet, query, local.rcode);
  /** where the name stands whose records are written */
  let owner = QUESTION;
  let name: LocalName | null = local;
  for (let step = 0; name !== null && step <= MAX_CHAIN; step++) {
    const found: RecordSet | undefined = name.sets.get(type);
    if (found !== undefined) {
      if (sizeOf(found) > most - end) return truncatedReply(out, base, packet, query, NOERROR);
      end = putSet(out, base, end, owner, type, found, query.id);
      return appendOpt(out, base, end, query, 0, EDE_NONE);
    }
    const alias: RecordSet | undefined = name.sets.get(TYPE_CNAME);
    if (alias === undefined) break;
    if (sizeOf(alias) > most - end) return truncatedReply(out, base, packet, query, NOERROR);
    end = putSet(out, base, end, owner, TYPE_CNAME, alias, 0);
    owner = end - base - (alias.data[0] as Uint8Array).length;
    name = name.target;
  }
  // The RCODE is that of the last name (RFC 6604).
  out[base + 3] = ((out[base + 3] as number) & 0xf0) | (name?.rcode ?? NOERROR);
  const zone = name === null || name.zone === 0 ? Infinity : name.zone;
  end = putSoa(out, base, end, owner, zone, EMPTY_TTL);
  countRecord(out, base, 8);
  return appendOpt(out, base, end, query, 0, EDE_NONE);
}

function sizeOf(set: RecordSet): number {
  let size = 0;
  for (const data of set.data) size += 12 + data.length;
  return size;
}

/** The records begin at another one with each query, so that clients spread over several addresses. */
function putSet(
  out: Uint8Array,
  base: number,
  from: number,
  owner: number,
  type: number,
  { ttl, data }: RecordSet,
  turn: number,
): number {
  let at = from;
  for (let i = 0; i < data.length; i++) {
    const bytes = data[(i + turn) % data.length] as Uint8Array;
    at = putHead(out, at, owner, type, ttl, bytes.length);
    out.set(bytes, at);
    at += bytes.length;
    countRecord(out, base, 6);
  }
  return at;
}
