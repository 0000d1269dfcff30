// Socket addresses as the system lays them out, and back. The layout is that of 64-bit Linux, little end first.

import { networkInterfaces } from 'node:os';
import { formatAddress, parseAddress } from '../policy/networks.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** The longest of the two: an IPv6 address with its port and zone. */
export const NAME_BYTES = 28;

export type SocketName = { readonly family: typeof AF_INET | typeof AF_INET6; readonly bytes: Uint8Array };

/** @throws Error when it is no IP address, or its zone is no interface of this machine */
export function writeName(address: string, port: number): SocketName {
  const parsed = parseAddress(address);
  if (parsed === null) throw new Error(`${address} is no IP address`);
  const { words } = parsed;
  const v6 = parsed.family === 6;
  const bytes = new Uint8Array(v6 ? NAME_BYTES : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  for (const [i, word] of words.entries()) view.setUint32((v6 ? 8 : 4) + i * 4, word);
  const zone = address.indexOf('%');
  if (v6 && zone > 0) view.setUint32(24, scopeOf(address.slice(zone + 1), address), true);
  return { family: v6 ? AF_INET6 : AF_INET, bytes };
}

function scopeOf(zone: string, address: string): number {
  if (/^\d{1,9}$/.test(zone)) return Number(zone);
  const found = networkInterfaces()[zone]?.find((entry) => entry.family === 'IPv6');
  if (found === undefined || found.family !== 'IPv6')
    throw new Error(`${address}: this machine has no interface ${zone}`);
  return found.scopeid;
}

const swap = (word: number): number =>
  ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | (word << 24)) >>> 0;

const KNOWN = 1024;

/**
 * IPv6 addresses as text, remembered by their sixteen bytes, so that nothing is written for a sender who comes again.
 * Gives a function of four words as they lie in memory.
 */
export function createAddressTexts(): (words: Uint32Array, at: number) => string {
  const keys = new Uint32Array(KNOWN * 4);
  const texts = new Array<string>(KNOWN).fill('');
  return (words, at) => {
    const a = words[at]!;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    let hash = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ d;
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    const place = ((hash ^ (hash >>> 13)) & (KNOWN - 1)) * 4;
    const known = texts[place >> 2]!;
    if (
      keys[place] === a &&
      keys[place + 1] === b &&
      keys[place + 2] === c &&
      keys[place + 3] === d &&
      known !== ''
    )
      return known;
    const text = formatAddress({ family: 6, words: [swap(a), swap(b), swap(c), swap(d)] });
    keys[place] = a;
    keys[place + 1] = b;
    keys[place + 2] = c;
    keys[place + 3] = d;
    texts[place >> 2] = text;
    return text;
  };
}
