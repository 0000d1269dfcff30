// Answers of upstreams in wire form, packed into one block of memory: no object and no string for each, so that a hundred
// thousand take what they weigh. Policy has always spoken before anyone asks here; nothing in this file knows of clients.
// What is kept beyond its TTL is only for when the upstreams are silent.

import { createSlab, NONE } from './slab.ts';
import type { Place } from './slab.ts';
import type { Response } from './response.ts';
import { QUESTION, lower, putUint16, putUint32, skipName, uint16, uint32 } from './wire.ts';

/** What tells two answers to one name and type apart. */
export const WITH_DO = 1;
export const WITH_CD = 2;
export const WITH_ANY_CLASS = 4;
/** composed from another name's addresses (safe search): the number of that name, from 1, in the bits from here */
export const REWRITTEN = 8;

export type Key = { lo: number; hi: number; type: number; variant: number };

export type Facts = {
  /** it leads into the inside network, and the name has no leave to */
  guarded: boolean;
  /** a failure that is remembered for a moment, not an answer */
  failure: boolean;
  /** UTC ms */
  storedAt: number;
  freshUntil: number;
};

export type AnswerStore = {
  /** the bytes of all answers; those of one begin at `bodyAt(place)` */
  readonly bytes: Uint8Array;
  /** the answer for this key if its question is the one in `packet`, whatever its age; or NONE. Good until the next `put` or `purge`. */
  find(key: Key, packet: Uint8Array, nameEnd: number): Place;
  /** Keeps `message` without its OPT, in place of what was kept under the key. NONE when it is too large to be kept. */
  put(key: Key, message: Uint8Array, response: Response, facts: Facts): Place;
  bodyAt(place: Place): number;
  bodyLength(place: Place): number;
  rcode(place: Place): number;
  isFailure(place: Place): boolean;
  isGuarded(place: Place): boolean;
  storedAt(place: Place): number;
  freshUntil(place: Place): number;
  /** after a failed attempt to renew it: when to ask again, UTC ms; 0 while all is well */
  retryAt(place: Place): number;
  setRetryAt(place: Place, at: number): void;
  /** counts a use; how often it was used lately, 0 to 3 */
  touch(place: Place): number;
  ttlCount(place: Place): number;
  /** where the offsets of the TTLs within the body begin in `bytes`, two bytes each */
  ttlsAt(place: Place): number;
  chainCount(place: Place): number;
  /** where the first name of the chain begins in `bytes`, in wire form; the others follow */
  chainAt(place: Place): number;
  addressCount(place: Place): number;
  /** the nth address that the answer gives: 4 or 16 bytes, within `bytes` */
  address(place: Place, n: number): Uint8Array;
  /** the epoch of the engine in which no list held any of the addresses, as `setUnlisted` was told */
  unlistedIn(place: Place): number;
  setUnlisted(place: Place, epoch: number): void;
  /** extended errors of the upstream as options in wire form, or null */
  extendedErrors(place: Place): Uint8Array | null;
  /** forgets these canonical names and all below them, or everything */
  purge(names?: readonly string[]): void;
  stats(): { entries: number; bytes: number; evicted: number };
};

// A record. Words: the slab's own, the key, then counts and lengths. Doubles: the times. Then, one after another: body,
// offsets of TTLs (2 bytes each), addresses (offset and length, 3 bytes each), chain, extended errors.
const LO = 1;
const HI = 2;
const TYPE = 3;
const VARIANT_FLAGS = 4; // variant in the low half, FAILURE and GUARDED above
const BODY_RCODE = 5; // rcode in the high half
const TTLS_ADDRESSES = 6; // addresses in the high half
const CHAIN_ERRORS = 7; // names of the chain; bytes of extended errors in the high half
const STORED = 4; // in doubles
const FRESH = 5;
const RETRY = 6;
const UNLISTED = 14;
const HEAD = 64;
const FAILURE = 0x10000;
const GUARDED = 0x20000;

const NEVER = 0xffffffff;

/** The least a record takes, for the size of the table. */
const LEAST = 128;

/** `maxBytes` is for the records; their table takes a few bytes more for each. */
export function createAnswerStore(deps: {
  maxBytes: number;
  maxEntries?: number;
  /** bounds of every TTL, in seconds; one of zero stays zero */
  ttl: { least: number; most: number };
}): AnswerStore {
  const { maxEntries = Infinity, ttl: bounds } = deps;
  let entries = 0;
  let evicted = 0;
  const slab = createSlab({
    maxBytes: deps.maxBytes,
    onEvict(place) {
      evicted++;
      leave(place);
    },
  });
  const { bytes, words, doubles } = slab;
  let slots = 64;
  while (slots * 0.6 < bytes.length / LEAST) slots *= 2;
  const mask = slots - 1;
  /** place / 8 + 1; 0 is empty */
  const table = new Int32Array(slots);
  let hand = 0;

  const homeOf = (lo: number, type: number): number =>
    (lo ^ (lo >>> 15) ^ Math.imul(type, 0x9e3779b1)) & mask;
  const placeIn = (slot: number): Place => ((table[slot] as number) - 1) * 8;
  const word = (place: Place, at: number): number => words[(place >>> 2) + at] as number;

  /** Takes a record out of the table, and moves up those behind it that are not at home, so that no run is cut. */
  function leave(place: Place): void {
    let hole = homeOf(word(place, LO), word(place, TYPE));
    const wanted = place / 8 + 1;
    while (table[hole] !== wanted) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; table[slot] !== 0; slot = (slot + 1) & mask) {
      const other = placeIn(slot);
      const home = homeOf(word(other, LO), word(other, TYPE));
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      table[hole] = table[slot] as number;
      hole = slot;
    }
    table[hole] = 0;
    entries--;
  }

  function find({ lo, hi, type, variant }: Key, packet: Uint8Array, nameEnd: number): Place {
    for (let slot = homeOf(lo, type); table[slot] !== 0; slot = (slot + 1) & mask) {
      const place = placeIn(slot);
      const at = place >>> 2;
      if (words[at + LO] !== lo || words[at + HI] !== hi || words[at + TYPE] !== type) continue;
      if (((words[at + VARIANT_FLAGS] as number) & 0xffff) !== variant) continue;
      if (sameName(place + HEAD, packet, nameEnd)) return place;
    }
    return NONE;
  }

  /** A hash is not a name: the letters are compared too. */
  function sameName(body: number, packet: Uint8Array, nameEnd: number): boolean {
    for (let i = QUESTION; i < nameEnd; i++) {
      const ours = bytes[body + i] as number;
      const theirs = packet[i] as number;
      if (ours !== theirs && lower(ours) !== lower(theirs)) return false;
    }
    return true;
  }

  function put(key: Key, message: Uint8Array, response: Response, facts: Facts): Place {
    const { bodyEnd, owners, ttls, addresses, chain, extendedErrors } = response;
    const known = find(key, message, response.nameEnd);
    if (known !== NONE) {
      leave(known);
      slab.free(known);
    }
    const errors = extendedErrors?.length ?? 0;
    let chainBytes = 0;
    for (const name of chain) chainBytes += name.length;
    const size = HEAD + bodyEnd + 2 * ttls.length + 3 * addresses.length + chainBytes + errors;
    while (entries >= maxEntries) dropOne();
    const place = slab.take(size);
    if (place === NONE) return NONE;
    const at = place >>> 2;
    words[at + LO] = key.lo;
    words[at + HI] = key.hi;
    words[at + TYPE] = key.type;
    words[at + VARIANT_FLAGS] = key.variant | (facts.failure ? FAILURE : 0) | (facts.guarded ? GUARDED : 0);
    words[at + BODY_RCODE] = bodyEnd | (response.rcode << 16);
    words[at + TTLS_ADDRESSES] = ttls.length | (addresses.length << 16);
    words[at + CHAIN_ERRORS] = chain.length | (errors << 16);
    words[at + UNLISTED] = NEVER;
    const time = place >>> 3;
    doubles[time + STORED] = facts.storedAt;
    doubles[time + FRESH] = facts.freshUntil;
    doubles[time + RETRY] = 0;
    const body = place + HEAD;
    for (let i = 0; i < bodyEnd; i++) bytes[body + i] = message[i] as number;
    putUint16(bytes, body + 10, 0);
    // The letters of these are the ones that we chose against forgers, and nobody's who asks. No length byte is a letter.
    for (const owner of owners) {
      const from = body + owner;
      for (let i = from + response.nameEnd - QUESTION; i-- > from;) bytes[i] = lower(bytes[i] as number);
    }
    let end = body + bodyEnd;
    for (let i = 0; i < ttls.length; i++, end += 2) {
      const offset = ttls[i] as number;
      putUint16(bytes, end, offset);
      putUint32(bytes, body + offset, bounded(uint32(bytes, body + offset)));
    }
    for (const address of addresses) {
      putUint16(bytes, end, address.byteOffset - message.byteOffset);
      bytes[end + 2] = address.length;
      end += 3;
    }
    for (const name of chain) {
      bytes.set(name, end);
      end += name.length;
    }
    if (extendedErrors !== null) bytes.set(extendedErrors, end);
    let slot = homeOf(key.lo, key.type);
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = place / 8 + 1;
    entries++;
    return place;
  }

  /** A TTL with the top bit set counts as zero (RFC 2181, section 8). */
  function bounded(ttl: number): number {
    if (ttl === 0 || ttl > 0x7fffffff) return 0;
    return ttl < bounds.least ? bounds.least : ttl > bounds.most ? bounds.most : ttl;
  }

  /** For a limit in entries: the next one that the hand meets goes. */
  function dropOne(): void {
    for (;;) {
      hand = (hand + 1) & mask;
      if (table[hand] === 0) continue;
      const place = placeIn(hand);
      leave(place);
      slab.free(place);
      evicted++;
      return;
    }
  }

  const bodyLength = (place: Place): number => word(place, BODY_RCODE) & 0xffff;
  const ttlCount = (place: Place): number => word(place, TTLS_ADDRESSES) & 0xffff;
  const addressCount = (place: Place): number => word(place, TTLS_ADDRESSES) >>> 16;
  const ttlsAt = (place: Place): number => place + HEAD + bodyLength(place);
  const addressesAt = (place: Place): number => ttlsAt(place) + 2 * ttlCount(place);
  const chainAt = (place: Place): number => addressesAt(place) + 3 * addressCount(place);
  const chainCount = (place: Place): number => word(place, CHAIN_ERRORS) & 0xffff;

  function extendedErrors(place: Place): Uint8Array | null {
    const size = word(place, CHAIN_ERRORS) >>> 16;
    if (size === 0) return null;
    let at = chainAt(place);
    for (let n = chainCount(place); n > 0; n--) at = skipName(bytes, at, bytes.length);
    return bytes.subarray(at, at + size);
  }

  function purge(names?: readonly string[]): void {
    const gone: Place[] = [];
    slab.each((place) => {
      const host = names === undefined ? '' : hostOf(bytes, place + HEAD + QUESTION);
      if (names === undefined || names.some((name) => host === name || host.endsWith(`.${name}`)))
        gone.push(place);
    });
    for (const place of gone) {
      leave(place);
      slab.free(place);
    }
  }

  return {
    bytes,
    find,
    put,
    bodyAt: (place) => place + HEAD,
    bodyLength,
    rcode: (place) => word(place, BODY_RCODE) >>> 16,
    isFailure: (place) => (word(place, VARIANT_FLAGS) & FAILURE) !== 0,
    isGuarded: (place) => (word(place, VARIANT_FLAGS) & GUARDED) !== 0,
    storedAt: (place) => doubles[(place >>> 3) + STORED] as number,
    freshUntil: (place) => doubles[(place >>> 3) + FRESH] as number,
    retryAt: (place) => doubles[(place >>> 3) + RETRY] as number,
    setRetryAt(place, at) {
      doubles[(place >>> 3) + RETRY] = at;
    },
    touch: (place) => slab.touch(place),
    ttlCount,
    ttlsAt,
    chainCount,
    chainAt,
    addressCount,
    address(place, n) {
      const entry = addressesAt(place) + 3 * n;
      const at = place + HEAD + uint16(bytes, entry);
      return bytes.subarray(at, at + (bytes[entry + 2] as number));
    },
    unlistedIn: (place) => word(place, UNLISTED),
    setUnlisted(place, epoch) {
      words[(place >>> 2) + UNLISTED] = epoch;
    },
    extendedErrors,
    purge,
    stats: () => ({ entries, bytes: slab.used(), evicted }),
  };
}

/** The name at `at` as the audit log writes it, as far as the letters of names go. */
function hostOf(bytes: Uint8Array, from: number): string {
  const labels: string[] = [];
  for (let at = from; ;) {
    const size = bytes[at] as number;
    if (size === 0 || size > 63) break;
    let label = '';
    for (let i = at + 1; i <= at + size; i++) label += String.fromCharCode(lower(bytes[i] as number));
    labels.push(label);
    at += size + 1;
  }
  return labels.join('.');
}
