// Addresses for the proxy: A and AAAA asked side by side, the CNAMEs of the answer followed, kept while their TTL lasts.
// Policy is not asked here: the proxy decides on a name before it looks it up, then on the names that it led through, and on
// each address before it connects.

import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { RECURSION_DESIRED, decode, encode } from 'dns-packet';
import type { Answer, DecodedPacket } from 'dns-packet';
import type { Routes } from './routing.ts';
import type { Exchange, Lookup, Resolved, ResolvedAddress } from './types.ts';

export type LookupDeps = {
  readonly exchange: Exchange;
  /** names with an upstream of their own */
  readonly routes?: Routes;
  /** where a name of the school's own leads, or null when an upstream is to be asked; never kept */
  readonly local?: (name: string) => Resolved | null;
  /** UTC ms */
  readonly now: () => number;
  readonly maxNames?: number;
};

type Found = Resolved & { readonly ttl: number };

const MAX_TTL = 3600;
const MIN_TTL = 1;
const NEGATIVE_TTL = 10;
const HALF_TTL = 5;
const MAX_ADDRESSES = 32;
const MAX_CHAIN = 16;

/** Rejects with an Error when the name cannot be asked for, or neither A nor AAAA was answered. */
export function createLookup(deps: LookupDeps): Lookup {
  const { now } = deps;
  const cache = new LRUCache<string, { found: Resolved; until: number }>({
    max: deps.maxNames ?? 4096,
  });
  const underWay = new Map<string, Promise<Resolved>>();

  async function ask(name: string, family: 4 | 6): Promise<Found> {
    const type = family === 4 ? 'A' : 'AAAA';
    const exchange = deps.routes?.find(name) ?? deps.exchange;
    const bytes = await exchange.query(
      encode({
        type: 'query',
        id: 0,
        flags: RECURSION_DESIRED,
        questions: [{ type, name, class: 'IN' }],
        additionals: [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ],
      }),
    );
    const rcode = (bytes[3] as number) & 15;
    if (rcode !== 0 && rcode !== 3) throw new Error(`${name}: the upstream answered with RCODE ${rcode}`);
    const packet: DecodedPacket = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return readAddresses(packet.answers ?? [], name, type);
  }

  async function askBoth(name: string): Promise<Resolved> {
    const [v4, v6] = await Promise.allSettled([ask(name, 4), ask(name, 6)]);
    if (v4.status === 'rejected' && v6.status === 'rejected') {
      throw new Error(`${name} could not be looked up: ${(v4.reason as Error).message}`);
    }
    const halves = [v4, v6].flatMap((half) => (half.status === 'fulfilled' ? [half.value] : []));
    const found: Resolved = {
      addresses: halves.flatMap((half) => half.addresses),
      chain: [...new Set(halves.flatMap((half) => half.chain))],
    };
    const ttl = Math.min(
      ...halves.map((half) => half.ttl),
      // With one half missing the other is kept only briefly, so that the missing one is soon asked for again.
      halves.length === 2 ? MAX_TTL : HALF_TTL,
    );
    cache.set(name, { found, until: now() + Math.max(MIN_TTL, ttl) * 1000 });
    return found;
  }

  return {
    async resolve(name) {
      const literal = isIP(name);
      if (literal !== 0) return { addresses: [{ address: name, family: literal === 6 ? 6 : 4 }], chain: [] };
      if (!isAskable(name)) throw new Error(`"${name.slice(0, 80)}" is not a name that can be looked up`);
      const local = deps.local?.(name) ?? null;
      if (local !== null) return local;
      const kept = cache.get(name);
      if (kept !== undefined && kept.until > now()) return kept.found;
      let answer = underWay.get(name);
      if (answer === undefined) {
        answer = askBoth(name).finally(() => underWay.delete(name));
        underWay.set(name, answer);
      }
      return answer;
    },
    clear: () => cache.clear(),
  };
}

/** Whether the name has labels of 1 to 63 ASCII bytes and at most 253 in all; anything else would be encoded wrongly. */
function isAskable(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= 253 &&
    !/[^\x21-\x7e]/.test(name) &&
    name.split('.').every((label) => label.length >= 1 && label.length <= 63)
  );
}

/** The chain that begins with `name`, the addresses at its end, and how many seconds the answer may be kept. */
function readAddresses(answers: readonly Answer[], name: string, type: 'A' | 'AAAA'): Found {
  const names = new Set([name]);
  let ttl = MAX_TTL;
  let last = name;
  for (let step = 0; step < MAX_CHAIN; step++) {
    const next = answers.find((answer) => answer.type === 'CNAME' && answer.name.toLowerCase() === last);
    if (next === undefined || next.type !== 'CNAME') break;
    last = next.data.toLowerCase();
    ttl = Math.min(ttl, next.ttl ?? 0);
    if (names.has(last)) break;
    names.add(last);
  }
  const addresses: ResolvedAddress[] = [];
  for (const answer of answers) {
    if (answer.type !== type || addresses.length === MAX_ADDRESSES) continue;
    if (answer.name.toLowerCase() !== last) continue;
    addresses.push({ address: answer.data, family: type === 'A' ? 4 : 6 });
    ttl = Math.min(ttl, answer.ttl ?? 0);
  }
  names.delete(name);
  return { addresses, chain: [...names], ttl: addresses.length > 0 ? ttl : Math.min(ttl, NEGATIVE_TTL) };
}
