// Names that are answered here and never leave: localhost, invalid, local and the like (RFC 6761, 6762, 7686, 9462). No
// list or group has a say in them, as nothing outside can be reached by them.

import { EDE_NONE, addressReply, negativeReply } from './replies.ts';
import type { Query } from './wire.ts';
import { NOERROR, NXDOMAIN, QUESTION, TYPE_A, TYPE_AAAA, lastLabelIs, lower } from './wire.ts';

export type SpecialAnswer = 'loopback' | 'nxdomain' | 'nodata';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

const TTL = 300;
const LOOPBACK_V4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_V6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** By the length of the last label, as nearly every name is told from these by that alone. */
const LAST_LABELS: readonly (readonly { label: Uint8Array; answer: SpecialAnswer }[])[] = [
  ...new Array<[]>(4).fill([]),
  [{ label: bytesOf('test'), answer: 'nxdomain' }],
  [
    { label: bytesOf('local'), answer: 'nxdomain' },
    { label: bytesOf('onion'), answer: 'nxdomain' },
  ],
  [],
  [{ label: bytesOf('invalid'), answer: 'nxdomain' }],
  [],
  [{ label: bytesOf('localhost'), answer: 'loopback' }],
];

/** `resolver.arpa` with its length bytes and root. */
const RESOLVER_ARPA = bytesOf('\x08resolver\x04arpa\x00');

/** How a name is answered here, or null when it is a name like any other. */
export function specialAnswer(packet: Uint8Array, query: Query): SpecialAnswer | null {
  const size = packet[query.lastLabel] as number;
  const candidates = LAST_LABELS[size];
  if (candidates !== undefined) {
    for (const { label, answer } of candidates) if (lastLabelIs(packet, query, label)) return answer;
  }
  return size === 4 && query.labels >= 2 && endsInResolverArpa(packet, query) ? 'nodata' : null;
}

/** Clients find encrypted resolvers of their own by asking below resolver.arpa; here they find none. */
function endsInResolverArpa(packet: Uint8Array, query: Query): boolean {
  const from = query.nameEnd - RESOLVER_ARPA.length;
  if (from < QUESTION) return false;
  for (let i = 0; i < RESOLVER_ARPA.length; i++) {
    if (lower(packet[from + i] as number) !== RESOLVER_ARPA[i]) return false;
  }
  return true;
}

/** Writes the answer at `base`, with room as for every reply; returns the offset after it. */
export function specialReply(
  out: Uint8Array,
  base: number,
  packet: Uint8Array,
  query: Query,
  answer: SpecialAnswer,
): number {
  if (answer === 'loopback' && (query.type === TYPE_A || query.type === TYPE_AAAA)) {
    const address = query.type === TYPE_A ? LOOPBACK_V4 : LOOPBACK_V6;
    return addressReply(out, base, packet, query, address, TTL, EDE_NONE);
  }
  const rcode = answer === 'nxdomain' ? NXDOMAIN : NOERROR;
  return negativeReply(out, base, packet, query, rcode, TTL, EDE_NONE);
}
