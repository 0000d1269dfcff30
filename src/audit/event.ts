// The audit event in bytes: how a data thread hands a decision to the writer. Pure; rings and threads are elsewhere.
// Layout: version, channel|action|more, reason, rating, 48-bit time, six varints, thirteen length-prefixed strings.

import type { Action, Channel, Decision, RatingKind, Reason } from '../policy/types.ts';
import { readUtf8, writeUtf8, type TextReader } from './utf8.ts';

/** A decision as the writer takes it: flat, one field per column of the `events` view. Times are UTC ms. */
export type DecodedDecision = {
  readonly at: number;
  readonly channel: Channel;
  /** the address that asked */
  readonly client: string;
  readonly device: string | null;
  readonly user: string | null;
  readonly group: string;
  readonly class: string | null;
  readonly inCharge: string | null;
  readonly host: string;
  readonly path: string | null;
  readonly method: string;
  readonly category: string | null;
  readonly list: string | null;
  readonly rating: RatingKind | null;
  readonly action: Action;
  readonly reason: Reason;
  readonly rule: string;
  readonly overrideId: string | null;
  readonly policyGeneration: number;
  readonly indexGeneration: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  /** how many like it this stands for; 0 with `more` */
  readonly count: number;
  /** adds bytes and time to what was told before; counts nothing */
  readonly more: boolean;
};

/** What a row is kept as: 0 an allowed visit (may be sampled and counted together), 1 a block, 2 an allow by override. */
export type EventKind = 0 | 1 | 2;

const VERSION = 2;
/** As spilled by gateways before events had a count. */
const VERSION_WITHOUT_COUNT = 1;
/** The top bit of the second byte. */
const MORE = 0x80;
const HEAD = 10;

// Spilled events outlive a restart and so may meet a newer gateway: these tables only ever grow at the end. A word that is
// missing here does not compile below.
const CHANNELS = ['dns', 'http', 'connect', 'tls', 'web'] as const satisfies readonly Channel[];
const ACTIONS = ['block', 'allow', 'rewrite', 'portal', 'error'] as const satisfies readonly Action[];
const RATINGS = [
  'acceptable',
  'timed',
  'nominated',
  'permission',
  'unacceptable',
  'illegal',
] as const satisfies readonly RatingKind[];
const REASONS = [
  'illegal',
  'direct-ip',
  'bypass',
  'suspended',
  'identity-required',
  'override',
  'local-allow',
  'local-deny',
  'unacceptable',
  'permission',
  'nominated',
  'timed',
  'unrated',
  'acceptable',
  'default-allow',
  'default-block',
  'no-index',
  'no-policy',
  'internal-error',
  'private-address',
  'port',
  'upstream',
  'malformed',
  'safe-search',
  'tunnel',
] as const satisfies readonly Reason[];

// Longest text kept, in UTF-16 units; the rest is cut off. A host name is at most 253.
const NAME = 128;
const HOST = 255;
const PATH = 1024;
const METHOD = 32;
const RULE = 512;
const LIMITS = [NAME, NAME, NAME, NAME, NAME, NAME, HOST, PATH, METHOD, NAME, NAME, RULE, NAME];

/** No event is longer than this, so a slot of this size always holds one. */
export const MAX_EVENT_BYTES = HEAD + 6 * 8 + LIMITS.reduce((sum, limit) => sum + 3 * limit + 2, 0);

/** What an action is kept as; `overrideId` is the override that let it through, if one did. */
export function eventKind(action: Action, overrideId: string | null): EventKind {
  if (action === 'block' || action === 'portal') return 1;
  return overrideId !== null && action !== 'error' ? 2 : 0;
}

/** True for what may never be dropped: blocks (and being held at the portal), and allows by override. */
export function mustKeep(d: Decision): boolean {
  return eventKind(d.verdict.action, d.verdict.overrideId) !== 0;
}

/** Writes a decision at `offset`; returns the bytes written, or -1 when it does not fit. Allocates nothing. */
export function encodeDecision(d: Decision, into: Uint8Array, offset: number): number {
  const { client, verdict } = d;
  const at = d.at > 0 ? d.at : 0;
  const high = (at / 0x1000000) >>> 0;
  const low = (at - high * 0x1000000) | 0;
  into[offset] = VERSION;
  into[offset + 1] =
    CHANNELS.indexOf(d.channel) | (ACTIONS.indexOf(verdict.action) << 4) | (d.more ? MORE : 0);
  into[offset + 2] = REASONS.indexOf(verdict.reason);
  into[offset + 3] = verdict.rating === null ? 0 : RATINGS.indexOf(verdict.rating) + 1;
  into[offset + 4] = low;
  into[offset + 5] = low >>> 8;
  into[offset + 6] = low >>> 16;
  into[offset + 7] = high;
  into[offset + 8] = high >>> 8;
  into[offset + 9] = high >>> 16;
  let pos = offset + HEAD;
  pos = writeNumber(d.policyGeneration, into, pos);
  pos = writeNumber(d.indexGeneration, into, pos);
  pos = writeNumber(d.bytesIn, into, pos);
  pos = writeNumber(d.bytesOut, into, pos);
  pos = writeNumber(d.durationMs * 1000, into, pos);
  pos = writeNumber(d.more ? 0 : (d.count ?? 1), into, pos);
  pos = writeText(client.address, NAME, into, pos);
  pos = writeText(client.device, NAME, into, pos);
  pos = writeText(client.user, NAME, into, pos);
  pos = writeText(verdict.group, NAME, into, pos);
  pos = writeText(client.class, NAME, into, pos);
  pos = writeText(client.inCharge, NAME, into, pos);
  pos = writeText(d.host, HOST, into, pos);
  pos = writeText(d.path, PATH, into, pos);
  pos = writeText(d.method, METHOD, into, pos);
  pos = writeText(verdict.category, NAME, into, pos);
  pos = writeText(verdict.list, NAME, into, pos);
  pos = writeText(verdict.rule, RULE, into, pos);
  pos = writeText(verdict.overrideId, NAME, into, pos);
  return pos <= into.length ? pos - offset : -1;
}

/**
 * Reads the event that fills bytes[offset, offset + length) exactly; null for anything else. Never throws. `text` is for
 * whoever reads many.
 */
export function decodeDecision(
  bytes: Uint8Array,
  offset: number,
  length: number,
  text: TextReader = readUtf8,
): DecodedDecision | null {
  if (!(offset >= 0 && length >= HEAD && length <= MAX_EVENT_BYTES && offset + length <= bytes.length)) {
    return null;
  }
  const rated = bytes[offset + 3]!;
  const channel = CHANNELS[bytes[offset + 1]! & 15];
  const action = ACTIONS[(bytes[offset + 1]! >> 4) & 7];
  const reason = REASONS[bytes[offset + 2]!];
  const rating = rated === 0 ? null : RATINGS[rated - 1];
  const counted = bytes[offset] === VERSION;
  if (!counted && bytes[offset] !== VERSION_WITHOUT_COUNT) return null;
  if (!channel || !action || !reason || rating === undefined) return null;
  const low = bytes[offset + 4]! | (bytes[offset + 5]! << 8) | (bytes[offset + 6]! << 16);
  const high = bytes[offset + 7]! | (bytes[offset + 8]! << 8) | (bytes[offset + 9]! << 16);
  const cursor: Cursor = { bytes, pos: offset + HEAD, end: offset + length, text, bad: false };
  const policyGeneration = readNumber(cursor);
  const indexGeneration = readNumber(cursor);
  const bytesIn = readNumber(cursor);
  const bytesOut = readNumber(cursor);
  const durationMs = readNumber(cursor) / 1000;
  const more = (bytes[offset + 1]! & MORE) !== 0;
  const count = counted ? readNumber(cursor) : more ? 0 : 1;
  const client = readText(cursor, NAME);
  const device = readText(cursor, NAME);
  const user = readText(cursor, NAME);
  const group = readText(cursor, NAME);
  const classOf = readText(cursor, NAME);
  const inCharge = readText(cursor, NAME);
  const host = readText(cursor, HOST);
  const path = readText(cursor, PATH);
  const method = readText(cursor, METHOD);
  const category = readText(cursor, NAME);
  const list = readText(cursor, NAME);
  const rule = readText(cursor, RULE);
  const overrideId = readText(cursor, NAME);
  if (cursor.bad || cursor.pos !== cursor.end) return null;
  if (client === null || group === null || host === null || method === null || rule === null) return null;
  return {
    at: high * 0x1000000 + low,
    channel,
    client,
    device,
    user,
    group,
    class: classOf,
    inCharge,
    host,
    path,
    method,
    category,
    list,
    rating,
    action,
    reason,
    rule,
    overrideId,
    policyGeneration,
    indexGeneration,
    bytesIn,
    bytesOut,
    durationMs,
    count,
    more,
  };
}

/** The event with what was counted in it while it waited. */
export function withMore(
  event: DecodedDecision,
  more: {
    readonly count: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly micros: number;
  },
): DecodedDecision {
  return {
    ...event,
    count: event.count + more.count,
    bytesIn: event.bytesIn + more.bytesIn,
    bytesOut: event.bytesOut + more.bytesOut,
    durationMs: Math.max(event.durationMs, more.micros / 1000),
  };
}

type Cursor = {
  readonly bytes: Uint8Array;
  pos: number;
  readonly end: number;
  readonly text: TextReader;
  bad: boolean;
};

/** Seven bits a byte, low first, at most eight bytes (2^53). What is not a positive number is written as 0. */
function writeNumber(value: number, into: Uint8Array, at: number): number {
  let pos = at;
  let rest: number;
  if (value < 0x40000000) {
    // Nearly every number: integer arithmetic all the way.
    rest = value > 0 ? (value + 0.5) | 0 : 0;
  } else {
    let large = value < Number.MAX_SAFE_INTEGER ? Math.round(value) : value > 0 ? Number.MAX_SAFE_INTEGER : 0;
    while (large >= 0x40000000) {
      const next = Math.floor(large / 0x80);
      into[pos++] = (large - next * 0x80) | 0x80;
      large = next;
    }
    rest = large;
  }
  while (rest >= 0x80) {
    into[pos++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[pos++] = rest;
  return pos;
}

function readNumber(cursor: Cursor): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 8; i++) {
    if (cursor.pos >= cursor.end) break;
    const byte = cursor.bytes[cursor.pos++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (value <= Number.MAX_SAFE_INTEGER) return value;
      break;
    }
    scale *= 0x80;
  }
  cursor.bad = true;
  return 0;
}

/** Two bytes of length plus one (0 is null), then UTF-8. */
function writeText(text: string | null, limit: number, into: Uint8Array, at: number): number {
  if (text === null) {
    into[at] = 0;
    into[at + 1] = 0;
    return at + 2;
  }
  const end = writeUtf8(text, limit, into, at + 2);
  const size = end - at - 1;
  into[at] = size;
  into[at + 1] = size >>> 8;
  return end;
}

function readText(cursor: Cursor, limit: number): string | null {
  const at = cursor.pos;
  if (cursor.bad || at + 2 > cursor.end) {
    cursor.bad = true;
    return null;
  }
  const size = (cursor.bytes[at]! | (cursor.bytes[at + 1]! << 8)) - 1;
  if (size < 0) {
    cursor.pos = at + 2;
    return null;
  }
  const end = at + 2 + size;
  if (size > 3 * limit || end > cursor.end) {
    cursor.bad = true;
    return null;
  }
  cursor.pos = end;
  return cursor.text(cursor.bytes, at + 2, end);
}
