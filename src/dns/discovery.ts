// Telling clients of the gateway's own encrypted DNS (RFC 9461, 9462): the SVCB records of `_dns.resolver.arpa`. Written
// once from the settings, then copied into answers. Whether they may be given is decided where special names are.

import { DOH_PATH } from './doh-request.ts';
import { EDE_NONE, appendOpt, beginReply } from './replies.ts';
import type { Query } from './wire.ts';
import { CLASS_IN, NOERROR, QUESTION, TYPE_SVCB, lower, putUint16, putUint32 } from './wire.ts';

export type Designated = {
  /** the name in the certificate, canonical */
  readonly host: string;
  /** ports, or null for what is not offered */
  readonly dot: number | null;
  readonly doh: number | null;
  /** addresses of the gateway as bytes, 4 and 16 each */
  readonly v4: readonly Uint8Array[];
  readonly v6: readonly Uint8Array[];
};

export type Discovery = {
  /** how many records, each owned by the name of the question */
  readonly count: number;
  /** the records, for the answer section right after the question, which must begin at offset 12 */
  readonly records: Uint8Array;
};

const DISCOVERY_TTL = 300;
const NAME = Uint8Array.from('\x04_dns\x08resolver\x04arpa\x00', (letter) => letter.charCodeAt(0));
const KEY_ALPN = 1;
const KEY_PORT = 3;
const KEY_V4 = 4;
const KEY_V6 = 6;
const KEY_DOH_PATH = 7;
/** As many addresses as a client has any use for. */
const MAX_HINTS = 4;

/** The records that announce what is offered; null when that is nothing. DoT is preferred, as it costs both sides less. */
export function createDiscovery(designated: Designated): Discovery | null {
  const { dot, doh } = designated;
  const offers = [
    ...(dot === null ? [] : [{ alpn: 'dot', port: dot, path: null }]),
    ...(doh === null ? [] : [{ alpn: 'h2', port: doh, path: `${DOH_PATH}{?dns}` }]),
  ];
  if (offers.length === 0) return null;
  const records = offers.flatMap(({ alpn, port, path }, at) =>
    serviceRecord(designated, at + 1, alpn, port, path),
  );
  return { count: offers.length, records: Uint8Array.from(records) };
}

/** Whether a question is the one that the records answer: type SVCB of `_dns.resolver.arpa`. */
export function asksForDiscovery(packet: Uint8Array, query: Query): boolean {
  if (query.type !== TYPE_SVCB || query.nameEnd !== QUESTION + NAME.length) return false;
  for (let i = 0; i < NAME.length; i++) if (lower(packet[QUESTION + i] as number) !== NAME[i]) return false;
  return true;
}

/** Writes the answer at `base`, with room for the records; returns the offset after it. */
export function discoveryReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  { count, records }: Discovery,
): number {
  const at = beginReply(out, base, packet, query, NOERROR);
  out.set(records, at);
  putUint16(out, base + 6, count);
  return appendOpt(out, base, at + records.length, query, 0, EDE_NONE);
}

function serviceRecord(
  { host, v4, v6 }: Designated,
  priority: number,
  alpn: string,
  port: number,
  path: string | null,
): number[] {
  const data = [
    ...two(priority),
    ...host.split('.').flatMap((label) => [label.length, ...ascii(label)]),
    0,
    ...parameter(KEY_ALPN, [alpn.length, ...ascii(alpn)]),
    ...parameter(KEY_PORT, two(port)),
    ...hints(KEY_V4, v4),
    ...hints(KEY_V6, v6),
    ...(path === null ? [] : parameter(KEY_DOH_PATH, ascii(path))),
  ];
  const head = new Uint8Array(12);
  putUint16(head, 0, 0xc000 | QUESTION);
  putUint16(head, 2, TYPE_SVCB);
  putUint16(head, 4, CLASS_IN);
  putUint32(head, 6, DISCOVERY_TTL);
  putUint16(head, 10, data.length);
  return [...head, ...data];
}

const two = (value: number): number[] => [value >>> 8, value & 0xff];
const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));
const parameter = (key: number, value: readonly number[]): number[] => [
  ...two(key),
  ...two(value.length),
  ...value,
];

function hints(key: number, addresses: readonly Uint8Array[]): number[] {
  const bytes = addresses.slice(0, MAX_HINTS).flatMap((address) => [...address]);
  return bytes.length === 0 ? [] : parameter(key, bytes);
}
