// Reading an upstream's answer once, when it comes: where its TTLs are, how long it may be kept, which further names it
// leads through, which addresses it gives. Bounded by the packet, safe against pointer loops, never throws.

import {
  QUESTION,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_CNAME,
  TYPE_HTTPS,
  TYPE_OPT,
  TYPE_SOA,
  TYPE_SVCB,
  expandName,
  lower,
  skipName,
  uint16,
  uint32,
} from './wire.ts';
import { NAMES_IN_DATA, createSteadyNames } from './steady-names.ts';
import type { SteadyNames } from './steady-names.ts';

/** A record takes at least 11 bytes, so no message has more than these. */
const MAX_RECORDS = 5957;
/** Types that lead somewhere: A, CNAME, AAAA, DNAME, SVCB, HTTPS. */
const LEADING: ReadonlySet<number> = new Set([1, 5, 28, 39, 64, 65]);
/** Names of a CNAME chain that are looked at; a longer chain is taken for an attack. */
const MAX_CHAIN = 24;
const TYPE_DNAME = 39;

/** What is worth knowing of an answer. */
export type Response = {
  /** the lower four bits, with the upper eight of OPT above them */
  readonly rcode: number;
  readonly truncated: boolean;
  /** offset after the name of the question */
  readonly nameEnd: number;
  readonly questionEnd: number;
  /** the question with answer and authority: bytes up to here. What is additional goes to nobody, as nobody decided on it. */
  readonly bodyEnd: number;
  /** offsets of owners that are the name of the question, written out once more instead of pointed to */
  readonly owners: readonly number[];
  /** offsets of the TTL of every record in the body */
  readonly ttls: readonly number[];
  /** seconds for which the answer may be kept; 0 when it may not */
  readonly lifetime: number;
  /** names the answer leads through, in wire form */
  readonly chain: readonly Uint8Array[];
  /** every A and AAAA address, service hints included, as bytes within the message */
  readonly addresses: readonly Uint8Array[];
  /** whether any section holds HTTPS or SVCB records */
  readonly services: boolean;
  /** extended errors the upstream gave, as options in wire form, or null */
  readonly extendedErrors: Uint8Array | null;
};

/** Reads an answer; null when it is malformed, leads through too many names, or has names that would not stay what they are. */
export function readResponse(message: Uint8Array): Response | null {
  const { length } = message;
  if (length < QUESTION || length > 65535 || uint16(message, 4) !== 1) return null;
  const nameEnd = skipName(message, QUESTION, length);
  if (nameEnd < 0 || nameEnd + 4 > length) return null;
  const questionEnd = nameEnd + 4;
  const answers = uint16(message, 6);
  const authority = answers + uint16(message, 8);
  const total = authority + uint16(message, 10);
  if (total > MAX_RECORDS) return null;

  const flags = uint16(message, 2);
  const ttls: number[] = [];
  const owners: number[] = [];
  const names = createSteadyNames(message, questionEnd, ttls);
  const chain: Uint8Array[] = [];
  const addresses: Uint8Array[] = [];
  let rcode = flags & 15;
  let lowest = 0x7fffffff;
  let hasSoa = false;
  let services = false;
  let extendedErrors: Uint8Array | null = null;
  let bodyEnd = questionEnd;
  let dnames = 0;

  let at = questionEnd;
  for (let record = 0; record < total; record++) {
    const owner = at;
    const fields = names.read(owner, length);
    if (fields < 0 || fields + 10 > length) return null;
    const type = uint16(message, fields);
    const data = fields + 10;
    const end = data + uint16(message, fields + 8);
    if (end > length) return null;
    if (type === TYPE_OPT) {
      if (record < authority) return null;
      rcode |= (message[fields + 4] as number) << 4;
      extendedErrors = readExtendedErrors(message, data, end);
      break;
    }
    at = end;
    // Nothing else is read of what is additional: it goes no further.
    if (record >= authority) continue;
    // Who has the zone, that there is nothing, and the proof of it; what gives addresses belongs into the answer.
    if (record >= answers && LEADING.has(type)) return null;
    if (type === TYPE_SVCB || type === TYPE_HTTPS) services = true;
    if (isQuestionName(message, owner, fields, nameEnd)) owners.push(owner);
    const ttl = uint32(message, fields + 4);
    ttls.push(fields + 4);
    // A TTL with the top bit set counts as zero (RFC 2181, section 8).
    lowest = Math.min(lowest, ttl > 0x7fffffff ? 0 : ttl);
    if (!readDataNames(names, type, data, end)) return null;
    if (record < answers) {
      if (type === TYPE_CNAME || type === TYPE_DNAME) {
        const name = readName(message, data);
        // The name is all of the data.
        if (name === null || skipName(message, data, end) !== end || chain.length === MAX_CHAIN) return null;
        if (type === TYPE_CNAME) chain.push(name);
        else dnames++;
      } else if (type === TYPE_A || type === TYPE_AAAA) {
        // Of another length it is no address, and who knows what a careless reader makes of it.
        if (end - data !== (type === TYPE_A ? 4 : 16)) return null;
        addresses.push(message.subarray(data, end));
      } else if (type === TYPE_SVCB || type === TYPE_HTTPS) {
        if (!readService(message, data, end, chain, addresses)) return null;
      }
    } else if (record < authority && type === TYPE_SOA && end - data >= 22) {
      // RFC 2308, section 5: the lower of the SOA's own TTL and its minimum.
      hasSoa = true;
      lowest = Math.min(lowest, uint32(message, end - 4) & 0x7fffffff);
    }
    bodyEnd = end;
  }

  // A server makes a CNAME of every DNAME on the way (RFC 6672, section 3.1); without it nobody knows where the name leads.
  const asked = uint16(message, nameEnd);
  if (dnames > 0 && chain.length === 0 && asked !== TYPE_DNAME && asked !== TYPE_ANY) return null;

  const truncated = (flags & 0x0200) !== 0;
  const negative = rcode === 3 || answers === 0;
  // A denial without SOA says nothing of how long it holds (RFC 2308, section 5).
  const keepable = !truncated && (rcode === 0 || rcode === 3) && (!negative || hasSoa) && ttls.length > 0;
  return {
    rcode,
    truncated,
    nameEnd,
    questionEnd,
    bodyEnd,
    owners,
    ttls,
    lifetime: keepable ? lowest : 0,
    chain,
    addresses,
    services,
    extendedErrors,
  };
}

/** Whether the names in a record's data end within it and stay what they are. */
function readDataNames(names: SteadyNames, type: number, data: number, end: number): boolean {
  const layout = NAMES_IN_DATA.get(type);
  if (layout === undefined) return true;
  let at = data + layout[0];
  for (let n = layout[1]; n > 0; n--) {
    at = names.read(at, end);
    if (at < 0) return false;
  }
  return true;
}

/** Whether the name from `at` to `end` has no pointer and is the question's, in any letters. */
function isQuestionName(message: Uint8Array, at: number, end: number, nameEnd: number): boolean {
  if (end - at !== nameEnd - QUESTION) return false;
  for (let i = 0; i < end - at; i++) {
    if (lower(message[at + i] as number) !== lower(message[QUESTION + i] as number)) return false;
  }
  return true;
}

function readName(message: Uint8Array, at: number): Uint8Array | null {
  const name = new Uint8Array(255);
  const size = expandName(message, at, message.length, name);
  return size < 0 ? null : name.slice(0, size);
}

/** The target and the address hints of a SVCB or HTTPS record (RFC 9460); false when it is malformed. */
function readService(
  message: Uint8Array,
  data: number,
  end: number,
  chain: Uint8Array[],
  addresses: Uint8Array[],
): boolean {
  if (data + 3 > end) return false;
  let at = skipName(message, data + 2, end);
  const target = readName(message, data + 2);
  if (at < 0 || target === null || chain.length === MAX_CHAIN) return false;
  // A target of `.` is the owner itself.
  if (target.length > 1) chain.push(target);
  while (at < end) {
    if (at + 4 > end) return false;
    const key = uint16(message, at);
    const value = at + 4;
    at = value + uint16(message, at + 2);
    if (at > end) return false;
    const size = key === 4 ? 4 : key === 6 ? 16 : 0;
    if (size === 0) continue;
    for (let from = value; from + size <= at; from += size)
      addresses.push(message.subarray(from, from + size));
  }
  return true;
}

/** The extended errors among OPT's options; all other options concern only the gateway and the upstream. */
function readExtendedErrors(message: Uint8Array, from: number, end: number): Uint8Array | null {
  const found: number[] = [];
  let at = from;
  while (at + 4 <= end) {
    const next = at + 4 + uint16(message, at + 2);
    if (next > end) break;
    if (uint16(message, at) === 15 && next - at >= 6 && found.length + (next - at) <= 256) {
      for (let i = at; i < next; i++) found.push(message[i] as number);
    }
    at = next;
  }
  return found.length === 0 ? null : Uint8Array.from(found);
}
