// The answer for a name that is answered as another (safe search): the question, an alias from the name to its target, and
// the target's addresses. Bytes only; that a name is rewritten, and to what, is the policy's to say.

import { EMPTY_SOA_SIZE, putEmptySoa, putHead } from './replies.ts';
import {
  CLASS_IN,
  QUESTION,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_CNAME,
  TYPE_HTTPS,
  TYPE_SOA,
  expandName,
  lower,
  putUint16,
  skipName,
  uint16,
  uint32,
} from './wire.ts';

/** No answer under a rewrite is remembered for longer, in seconds: targets move. */
const MOST_TTL = 300;
/** TTL of "no such records" when the upstream says nothing of how long that holds. */
const NODATA_TTL = 60;
/** A true answer has a few; more are taken for an attack. */
const MAX_RECORDS = 256;
const MAX_CHAIN = 16;
const MAX_ADDRESSES = 32;
/** Two root names and five numbers. */
const LEAST_SOA_DATA = 22;

/**
 * Types that lead no browser to the site and that mail servers and the like need of an apex: NS, SOA, MX, TXT, DS, RRSIG,
 * DNSKEY, TLSA, CAA. They are answered as if the name were allowed.
 */
const HARMLESS: ReadonlySet<number> = new Set([2, 6, 15, 16, 43, 46, 48, 52, 257]);

/**
 * What a rewrite means for a query type. `compose`: A, AAAA and HTTPS get `composeRewrite`. `any`: the short answer that
 * ANY always gets. `pass`: as if allowed. `nodata`: all others, as an alias or a service record could lead round it.
 */
export function rewriteKind(type: number): 'compose' | 'any' | 'pass' | 'nodata' {
  if (type === TYPE_A || type === TYPE_AAAA || type === TYPE_HTTPS) return 'compose';
  if (type === TYPE_ANY) return 'any';
  return HARMLESS.has(type) ? 'pass' : 'nodata';
}

/** What an upstream said of the target: its addresses as places in the message, and the lowest TTL on the way. */
type TargetFacts = { readonly addresses: readonly number[]; readonly ttl: number };

/**
 * One message for `question` (header and question of the client, up to `questionEnd`, the name uncompressed) made of the
 * upstream's answer to (target, same type): an alias to the target, then its addresses, or a SOA when it has none of the
 * type. `targetWire` is the target's name in wire form. For HTTPS the upstream's answer is not looked at and may be empty: a
 * service record would lead round the rewrite. AD is clear. Null when the answer is malformed, truncated, a failure or
 * none to that question: then nothing but SERVFAIL is safe.
 */
export function composeRewrite(
  question: Uint8Array,
  questionEnd: number,
  targetWire: Uint8Array,
  upstreamAnswer: Uint8Array,
): Uint8Array | null {
  const type = uint16(question, questionEnd - 4);
  const facts: TargetFacts | null =
    type === TYPE_HTTPS ? { addresses: [], ttl: MOST_TTL } : readTarget(upstreamAnswer, targetWire, type);
  if (facts === null) return null;
  const { addresses, ttl } = facts;
  const size = type === TYPE_A ? 4 : 16;
  const alias = questionEnd + 12;
  const room =
    alias + targetWire.length + (addresses.length === 0 ? EMPTY_SOA_SIZE : addresses.length * (12 + size));
  const out = new Uint8Array(room);
  out.set(question.subarray(0, questionEnd));
  putUint16(out, 2, 0x8080 | (uint16(question, 2) & 0x0110));
  putUint16(out, 4, 1);
  putUint16(out, 6, 1 + addresses.length);
  putUint16(out, 8, addresses.length === 0 ? 1 : 0);
  putUint16(out, 10, 0);
  putHead(out, questionEnd, QUESTION, TYPE_CNAME, ttl, targetWire.length);
  out.set(targetWire, alias);
  let at = alias + targetWire.length;
  for (const address of addresses) {
    putHead(out, at, alias, type, ttl, size);
    out.set(upstreamAnswer.subarray(address, address + size), at + 12);
    at += 12 + size;
  }
  if (addresses.length === 0) putEmptySoa(out, at, alias, ttl);
  return out;
}

type Entry = {
  readonly owner: number;
  readonly type: number;
  readonly ttl: number;
  readonly data: number;
  readonly end: number;
};

function readTarget(message: Uint8Array, target: Uint8Array, type: number): TargetFacts | null {
  const { length } = message;
  if (length < QUESTION || length > 65_535) return null;
  // an answer to a plain query, whole, NOERROR
  if ((uint16(message, 2) & 0xfa0f) !== 0x8000 || uint16(message, 4) !== 1) return null;
  const nameEnd = skipName(message, QUESTION, length);
  if (nameEnd !== QUESTION + target.length || nameEnd + 4 > length) return null;
  const name = new Uint8Array(255);
  if (!isNamed(message, QUESTION, target, name)) return null;
  if (uint16(message, nameEnd) !== type || uint16(message, nameEnd + 2) !== CLASS_IN) return null;
  const answers = readEntries(message, nameEnd + 4, uint16(message, 6));
  if (answers === null) return null;
  const authority = readEntries(message, answers.next, uint16(message, 8));
  if (authority === null) return null;

  let owner = target;
  let ttl = MOST_TTL;
  for (let step = 0; ; step++) {
    const alias = answers.entries.find(
      (e) => e.type === TYPE_CNAME && isNamed(message, e.owner, owner, name),
    );
    if (alias === undefined) break;
    if (step === MAX_CHAIN) return null;
    const size = expandName(message, alias.data, length, name);
    if (size < 0 || skipName(message, alias.data, alias.end) !== alias.end) return null;
    owner = name.slice(0, size);
    ttl = Math.min(ttl, alias.ttl);
  }
  const addresses: number[] = [];
  for (const entry of answers.entries) {
    if (entry.type !== type || !isNamed(message, entry.owner, owner, name)) continue;
    if (entry.end - entry.data !== (type === TYPE_A ? 4 : 16)) return null;
    if (addresses.length === MAX_ADDRESSES) break;
    addresses.push(entry.data);
    ttl = Math.min(ttl, entry.ttl);
  }
  if (addresses.length > 0) return { addresses, ttl };
  const soa = authority.entries.find((e) => e.type === TYPE_SOA && e.end - e.data >= LEAST_SOA_DATA);
  const negative = soa === undefined ? NODATA_TTL : Math.min(soa.ttl, clampTtl(uint32(message, soa.end - 4)));
  return { addresses, ttl: Math.min(ttl, negative) };
}

/** The records of class IN of a section, and where the next one begins; null when it is malformed. */
function readEntries(
  message: Uint8Array,
  from: number,
  count: number,
): { readonly entries: readonly Entry[]; readonly next: number } | null {
  if (count > MAX_RECORDS) return null;
  const entries: Entry[] = [];
  let owner = from;
  for (let i = 0; i < count; i++) {
    const fields = skipName(message, owner, message.length);
    if (fields < 0 || fields + 10 > message.length) return null;
    const data = fields + 10;
    const end = data + uint16(message, fields + 8);
    if (end > message.length) return null;
    if (uint16(message, fields + 2) === CLASS_IN)
      entries.push({
        owner,
        type: uint16(message, fields),
        ttl: clampTtl(uint32(message, fields + 4)),
        data,
        end,
      });
    owner = end;
  }
  return { entries, next: owner };
}

/** A TTL with the top bit set counts as zero (RFC 2181, section 8). */
function clampTtl(ttl: number): number {
  return ttl > 0x7fffffff ? 0 : ttl;
}

/** Whether the name at `at` is `name`, in any case of letters; `scratch` has room for a name. */
function isNamed(message: Uint8Array, at: number, name: Uint8Array, scratch: Uint8Array): boolean {
  const size = expandName(message, at, message.length, scratch);
  if (size !== name.length) return false;
  for (let i = 0; i < size; i++) if (lower(scratch[i] as number) !== lower(name[i] as number)) return false;
  return true;
}
