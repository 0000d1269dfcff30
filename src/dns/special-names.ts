// Names that are answered here and never leave: localhost, invalid, local and the like (RFC 6761, 6762, 7686, 8375, 9462,
// 9476, 9665), and the reverse zones of addresses that are nobody's (RFC 6303, 7535, 7793). No list or group has a say in
// them, as nothing outside can be reached by them. Told by the last label first, on the bytes.

import { EDE_NONE, appendOpt, putHead } from './replies.ts';
import type { Query } from './wire.ts';
import { NOERROR, NXDOMAIN, QUESTION, TYPE_A, TYPE_AAAA, createQuery, lastLabelIs, lower } from './wire.ts';
import { apexReply, beginOwn, countRecord, emptyReply } from './zone-answers.ts';

type Kind = 'loopback' | 'loopback-name' | 'apex' | 'nodata' | 'nxdomain';

/** How a special name is answered; `zone` is how many labels the zone has that it is in. */
export type SpecialAnswer = { readonly kind: Kind; readonly zone: number };

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const TTL = 300;
const TYPE_PTR = 12;
const TYPE_DS = 43;
const LOOPBACK_V4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_V6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const LOCALHOST = bytesOf('\x09localhost\x00');

const LONGEST_ZONE = 34;
const made = (kind: Kind): readonly SpecialAnswer[] =>
  Array.from({ length: LONGEST_ZONE + 1 }, (_, zone) => ({ kind, zone }));
/** Each answer by the labels of its zone, so that none is made for a query. */
const APEX = made('apex');
const NODATA = made('nodata');
const NOWHERE = made('nxdomain');
const LOOPBACK: SpecialAnswer = { kind: 'loopback', zone: 1 };
const LOOPBACK_NAME_V4: SpecialAnswer = { kind: 'loopback-name', zone: 3 };
const LOOPBACK_NAME_V6: SpecialAnswer = { kind: 'loopback-name', zone: LONGEST_ZONE };

const nowhere = (label: string) => ({ label: bytesOf(label), answer: NOWHERE[1] as SpecialAnswer });

/** By the length of the last label, as nearly every name is told from these by that alone. */
const LAST_LABELS: readonly (readonly { label: Uint8Array; answer: SpecialAnswer }[])[] = [
  [],
  [],
  [],
  [nowhere('alt')],
  [nowhere('test')],
  [nowhere('local'), nowhere('onion')],
  [],
  [nowhere('invalid')],
  [nowhere('internal')],
  [{ label: bytesOf('localhost'), answer: LOOPBACK }],
];

const ARPA = bytesOf('arpa');
const IN_ADDR = bytesOf('\x07in-addr\x04arpa\x00');
const IP6 = bytesOf('\x03ip6\x04arpa\x00');
const HOME = bytesOf('\x04home\x04arpa\x00');
/** Clients find encrypted resolvers of their own by asking below resolver.arpa; here they find none. */
const RESOLVER = bytesOf('\x08resolver\x04arpa\x00');
const SERVICE = bytesOf('\x07service\x04arpa\x00');
const EMPTY = bytesOf('\x05empty\x05as112\x04arpa\x00');

/** How a name is answered here, or null when it is a name like any other. */
export function specialAnswer(packet: Uint8Array, query: Query): SpecialAnswer | null {
  const size = packet[query.lastLabel] as number;
  const candidates = LAST_LABELS[size];
  if (candidates === undefined) return null;
  for (const { label, answer } of candidates) if (lastLabelIs(packet, query, label)) return answer;
  return size === 4 && query.labels >= 2 && lastLabelIs(packet, query, ARPA) ? below(packet, query) : null;
}

const LIKELY = /(?:^|\.)(?:alt|arpa|internal|invalid|local|localhost|onion|test)$/;

/** Whether a canonical name is answered here; for tables that are built, not for queries. */
export function specialName(name: string): SpecialAnswer | null {
  if (!LIKELY.test(name)) return null;
  const labels = name.split('.');
  const packet = bytesOf(
    `${'\x00'.repeat(QUESTION)}${labels.map((label) => String.fromCharCode(label.length) + label).join('')}\x00`,
  );
  const query = createQuery();
  query.nameEnd = packet.length;
  query.labels = labels.length;
  query.lastLabel = packet.length - 2 - (labels.at(-1) as string).length;
  return specialAnswer(packet, query);
}

/** A name below `arpa`. */
function below(packet: Uint8Array, query: Query): SpecialAnswer | null {
  if (endsIn(packet, query, IN_ADDR)) return reverse4(packet, query);
  if (endsIn(packet, query, IP6)) return reverse6(packet, query);
  if (endsIn(packet, query, RESOLVER)) return NODATA[2] as SpecialAnswer;
  if (endsIn(packet, query, SERVICE)) return inZone(query, 2);
  if (endsIn(packet, query, EMPTY)) return inZone(query, 3);
  if (!endsIn(packet, query, HOME)) return null;
  // Who validates must see from the parent that home.arpa is not signed (RFC 8375, section 4).
  return query.labels === 2 && query.type === TYPE_DS ? null : inZone(query, 2);
}

/** The answer in a zone that holds nothing. */
function inZone(query: Query, labels: number): SpecialAnswer {
  return (query.labels === labels ? APEX : NOWHERE)[labels] as SpecialAnswer;
}

function endsIn(packet: Uint8Array, query: Query, suffix: Uint8Array): boolean {
  const from = query.nameEnd - suffix.length;
  if (from < QUESTION) return false;
  for (let i = 0; i < suffix.length; i++) {
    if (lower(packet[from + i] as number) !== suffix[i]) return false;
  }
  return beginsLabel(packet, from);
}

/** Whether a label begins at `from`: what looks like a length byte may be inside a label. */
function beginsLabel(packet: Uint8Array, from: number): boolean {
  let at = QUESTION;
  while (at < from) at += (packet[at] as number) + 1;
  return at === from;
}

function reverse4(packet: Uint8Array, query: Query): SpecialAnswer | null {
  let at = QUESTION;
  // The four labels nearest to in-addr.arpa, the first octet of the address in `a`.
  let a = -1;
  let b = -1;
  let c = -1;
  let d = -1;
  for (let left = query.labels - 2; left > 0; left--) {
    d = c;
    c = b;
    b = a;
    a = at;
    at += (packet[at] as number) + 1;
  }
  const octets = privateOctets(octet(packet, a), octet(packet, b), octet(packet, c), octet(packet, d));
  if (octets === 0) return null;
  const zeros = octet(packet, a) === 127 && octet(packet, b) === 0 && octet(packet, c) === 0;
  if (zeros && query.labels === 6 && octet(packet, d) === 1) return LOOPBACK_NAME_V4;
  return inReverseZone(query, octets + 2, 6);
}

/**
 * The answer in a reverse zone, where the name of an address has `whole` labels. Of a shorter one it is not said that it
 * does not exist, as that would deny the names of all addresses below it (RFC 8020).
 */
function inReverseZone(query: Query, labels: number, whole: number): SpecialAnswer {
  return (
    query.labels > labels && query.labels < whole ? NODATA[labels] : inZone(query, labels)
  ) as SpecialAnswer;
}

/** How many octets name the zone of RFC 6303 or 7793 that an address is in; 0 for addresses that may be someone's. */
function privateOctets(a: number, b: number, c: number, d: number): number {
  switch (a) {
    case 0:
    case 10:
    case 127:
      return 1;
    case 100:
      return b >= 64 && b <= 127 ? 2 : 0;
    case 169:
      return b === 254 ? 2 : 0;
    case 172:
      return b >= 16 && b <= 31 ? 2 : 0;
    case 192:
      return b === 168 ? 2 : b === 0 && c === 2 ? 3 : 0;
    case 198:
      return b === 51 && c === 100 ? 3 : 0;
    case 203:
      return b === 0 && c === 113 ? 3 : 0;
    case 255:
      return b === 255 && c === 255 && d === 255 ? 4 : 0;
    default:
      return 0;
  }
}

/** A label as a decimal octet, or -1. */
function octet(packet: Uint8Array, at: number): number {
  if (at < 0) return -1;
  const size = packet[at] as number;
  if (size > 3) return -1;
  let value = 0;
  for (let i = 1; i <= size; i++) {
    const digit = (packet[at + i] as number) - 0x30;
    if (digit < 0 || digit > 9 || (value === 0 && i > 1)) return -1;
    value = value * 10 + digit;
  }
  return value <= 255 ? value : -1;
}

function reverse6(packet: Uint8Array, query: Query): SpecialAnswer | null {
  const end = query.nameEnd - IP6.length;
  const nibbles = privateNibbles(packet, end);
  if (nibbles === 0 || !beginsLabel(packet, end - 2 * nibbles)) return null;
  const loopback = nibbles === 32 && query.labels === LONGEST_ZONE && nibble(packet, end, 31) === 1;
  return loopback ? LOOPBACK_NAME_V6 : inReverseZone(query, nibbles + 2, LONGEST_ZONE);
}

/** How many nibbles name the zone of RFC 6303 that an address is in. */
function privateNibbles(packet: Uint8Array, end: number): number {
  const first = nibble(packet, end, 0);
  if (first === 15) {
    const second = nibble(packet, end, 1);
    if (second === 13) return 2;
    const third = nibble(packet, end, 2);
    return second === 14 && third >= 8 && third <= 11 ? 3 : 0;
  }
  if (first === 2) return begins(packet, end, DOCUMENTATION) ? 8 : 0;
  if (first !== 0 || nibble(packet, end, 31) < 0 || nibble(packet, end, 31) > 1) return 0;
  for (let i = 1; i < 31; i++) if (nibble(packet, end, i) !== 0) return 0;
  return 32;
}

const DOCUMENTATION: readonly number[] = [2, 0, 0, 1, 0, 13, 11, 8];

function begins(packet: Uint8Array, end: number, nibbles: readonly number[]): boolean {
  for (let i = 0; i < nibbles.length; i++) if (nibble(packet, end, i) !== nibbles[i]) return false;
  return true;
}

/** The hexadecimal digit of the label `place` labels before the offset `end`, or -1. */
function nibble(packet: Uint8Array, end: number, place: number): number {
  const at = end - 2 * (place + 1);
  if (at < QUESTION || packet[at] !== 1) return -1;
  const byte = lower(packet[at + 1] as number);
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1;
}

/** Writes the answer at `base`, with room as for every reply; returns the offset after it. */
export function specialReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  answer: SpecialAnswer,
): number {
  const data = dataOf(answer.kind, query.type);
  if (data !== null) {
    let end = beginOwn(out, base, packet, query, NOERROR);
    end = putHead(out, end, QUESTION, query.type, TTL, data.length);
    out.set(data, end);
    countRecord(out, base, 6);
    return appendOpt(out, base, end + data.length, query, 0, EDE_NONE);
  }
  if (answer.zone === query.labels && answer.kind !== 'nxdomain')
    return apexReply(out, base, packet, query, TTL);
  const rcode = answer.kind === 'nxdomain' ? NXDOMAIN : NOERROR;
  return emptyReply(out, base, packet, query, rcode, answer.zone, TTL);
}

function dataOf(kind: Kind, type: number): Uint8Array | null {
  if (kind === 'loopback-name') return type === TYPE_PTR ? LOCALHOST : null;
  if (kind !== 'loopback') return null;
  return type === TYPE_A ? LOOPBACK_V4 : type === TYPE_AAAA ? LOOPBACK_V6 : null;
}
