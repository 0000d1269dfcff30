// Addresses and networks as numbers: parsing, one normal form, and finding the narrowest network that holds an
// address. `::ffff:` forms are the IPv4 address they carry. Nothing here says what a network means.

import { readIpv4, readIpv6 } from '../blocklist/ip-text.ts';

/** An address as 32-bit words: one for IPv4, four for IPv6. */
export type Address = { readonly family: 4 | 6; readonly words: readonly number[] };

/** An address and how many leading bits count; the bits after them are zero. */
export type Network = { readonly address: Address; readonly prefix: number; readonly hadHostBits: boolean };

export type NetworkTable<T> = {
  /** the value of the longest network that holds the address, or null; unusable text is in no network */
  find(address: string): T | null;
  /** the same for an address already read */
  findParsed(address: Address): T | null;
  readonly size: number;
};

type Level<T> = { readonly prefix: number; readonly values: Map<string | number, T> };

/**
 * Reads `10.2.0.7`, `2001:db8::7`, `fe80::1%eth0` (the zone is dropped) or `::ffff:10.2.0.7` (read as IPv4).
 * Gives null for anything else, octal and short forms of IPv4 included.
 */
export function parseAddress(text: string): Address | null {
  if (text.length === 0 || text.length > 64) return null;
  if (text.includes(':')) {
    const plain = text.includes('%') ? text.slice(0, text.indexOf('%')) : text;
    const words = readIpv6(plain);
    if (words === null) return null;
    if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return { family: 4, words: [words[3] ?? 0] };
    return { family: 6, words };
  }
  const word = readIpv4(text);
  return word < 0 ? null : { family: 4, words: [word] };
}

/** The one way an address is written everywhere (RFC 5952 for IPv6), so that equal addresses are equal text. */
export function formatAddress({ family, words }: Address): string {
  if (family === 4) {
    const word = words[0] ?? 0;
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let start = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > longest) [start, longest] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const text = groups.map((group) => group.toString(16));
  if (start < 0) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + longest).join(':')}`;
}

/** The address as it stands in a packet: 4 or 16 bytes. */
export function addressBytes({ words }: Address): Uint8Array {
  return Uint8Array.from(
    words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]),
  );
}

/** The other way round, null when there are neither 4 nor 16 bytes; `::ffff:` forms are the IPv4 address they carry. */
export function addressOf(bytes: Uint8Array): Address | null {
  if (bytes.length !== 4 && bytes.length !== 16) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4));
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return { family: 4, words: words.slice(3) };
  return { family: words.length === 1 ? 4 : 6, words };
}

/** Reads an address or `address/bits`; null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = parseAddress(host);
  if (address === null) return null;
  const width = address.family === 4 ? 32 : 128;
  let prefix = width;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!/^\d{1,3}$/.test(digits)) return null;
    // a mapped network is written with IPv6 bits but lies in IPv4
    prefix = Number(digits) - (address.family === 4 && host.includes(':') ? 96 : 0);
    if (prefix < 0 || prefix > width) return null;
  }
  const words = mask(address.words, prefix);
  const hadHostBits = words.some((word, i) => word !== address.words[i]);
  return { address: { family: address.family, words }, prefix, hadHostBits };
}

/** A table over networks; the first value given for a network stays. */
export function createNetworkTable<T>(entries: Iterable<{ network: Network; value: T }>): NetworkTable<T> {
  const v4: Level<T>[] = [];
  const v6: Level<T>[] = [];
  let size = 0;
  for (const { network, value } of entries) {
    const levels = network.address.family === 4 ? v4 : v6;
    let level = levels.find((l) => l.prefix === network.prefix);
    if (level === undefined) {
      level = { prefix: network.prefix, values: new Map() };
      levels.push(level);
    }
    const key = keyOf(network.address.words);
    if (level.values.has(key)) continue;
    level.values.set(key, value);
    size++;
  }
  for (const levels of [v4, v6]) levels.sort((a, b) => b.prefix - a.prefix);
  const findParsed = (address: Address): T | null => {
    for (const level of address.family === 4 ? v4 : v6) {
      const value = level.values.get(keyOf(mask(address.words, level.prefix)));
      if (value !== undefined) return value;
    }
    return null;
  };
  return {
    size,
    findParsed,
    find(text) {
      const address = parseAddress(text);
      return address === null ? null : findParsed(address);
    },
  };
}

function mask(words: readonly number[], prefix: number): number[] {
  return words.map((word, i) => {
    const bits = Math.min(32, Math.max(0, prefix - i * 32));
    return bits === 0 ? 0 : (word & (0xffffffff << (32 - bits))) >>> 0;
  });
}

function keyOf(words: readonly number[]): string | number {
  return words.length === 1 ? (words[0] ?? 0) : words.join(':');
}
