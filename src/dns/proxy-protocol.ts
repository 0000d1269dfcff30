// The PROXY protocol's header, version 1 (a line) and 2 (binary): which client a forwarder in front speaks for. Reads
// bytes only; who may send such a header is decided where connections are accepted.

import { formatAddress, parseAddress } from '../policy/networks.ts';

/**
 * `size` bytes of header were read, and `address` is the client's, or null when the forwarder speaks for itself. `more`:
 * what is there could become a header. `bad`: it never can.
 */
export type ProxyHeader =
  { readonly kind: 'header'; readonly size: number; readonly address: string | null } | 'more' | 'bad';

/** `PROXY UNKNOWN` with two IPv6 addresses and ports, and the line's end. */
const LONGEST_LINE = 107;
/** Addresses and all the extras that a forwarder may add; a longer one is refused. */
const LONGEST_BINARY = 1024;
const SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);
const WORD = Uint8Array.of(80, 82, 79, 88, 89, 32); // "PROXY "

/** No header is longer. */
export const LONGEST_PROXY_HEADER = LONGEST_BINARY + 16;

/** Reads a header at the start of `bytes`, of which `length` are there. */
export function readProxyHeader(bytes: Uint8Array, length: number): ProxyHeader {
  if (length === 0) return 'more';
  if (bytes[0] === SIGNATURE[0]) return readBinary(bytes, length);
  return bytes[0] === WORD[0] ? readLine(bytes, length) : 'bad';
}

/** The same for a datagram, where version 2 alone is in use and the header is whole or wrong. */
export function readDatagramHeader(bytes: Uint8Array, length: number): Exclude<ProxyHeader, 'more'> {
  const header = bytes[0] === SIGNATURE[0] ? readBinary(bytes, length) : 'bad';
  return header === 'more' ? 'bad' : header;
}

function startsWith(bytes: Uint8Array, length: number, start: Uint8Array): boolean {
  for (let i = 0; i < start.length && i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

function readBinary(bytes: Uint8Array, length: number): ProxyHeader {
  if (!startsWith(bytes, length, SIGNATURE)) return 'bad';
  if (length > 12 && (bytes[12] as number) >>> 4 !== 2) return 'bad';
  if (length < 16) return 'more';
  const command = (bytes[12] as number) & 15;
  const rest = ((bytes[14] as number) << 8) | (bytes[15] as number);
  if (command > 1 || rest > LONGEST_BINARY) return 'bad';
  const size = 16 + rest;
  if (length < size) return 'more';
  // LOCAL: a health check of the forwarder itself. Families without addresses stand for nobody else either.
  const family = (bytes[13] as number) >>> 4;
  if (command === 0 || family === 0 || family === 3) return { kind: 'header', size, address: null };
  const kind = (bytes[13] as number) & 15;
  if (family > 3 || kind < 1 || kind > 2) return 'bad';
  const words = family === 1 ? 1 : 4;
  if (rest < words * 8 + 4) return 'bad';
  const parts: number[] = [];
  for (let at = 16; at < 16 + words * 4; at += 4) {
    const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    parts.push(high * 65536 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)));
  }
  const text = formatAddress({ family: words === 1 ? 4 : 6, words: parts });
  // A mapped address is the IPv4 address that it carries, here as everywhere.
  const address = parseAddress(text);
  return address === null ? 'bad' : { kind: 'header', size, address: formatAddress(address) };
}

function readLine(bytes: Uint8Array, length: number): ProxyHeader {
  if (!startsWith(bytes, length, WORD)) return 'bad';
  let line = '';
  for (let i = 0; ; i++) {
    if (i === length) return length < LONGEST_LINE ? 'more' : 'bad';
    if (i >= LONGEST_LINE - 1) return 'bad';
    const byte = bytes[i] as number;
    if (byte === 13) break;
    if (byte < 32 || byte > 126) return 'bad';
    line += String.fromCharCode(byte);
  }
  const size = line.length + 2;
  if (length < size) return 'more';
  if (bytes[size - 1] !== 10) return 'bad';
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { kind: 'header', size, address: null };
  const parts = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line);
  const source = parseAddress(parts?.[2] ?? '');
  const target = parseAddress(parts?.[3] ?? '');
  if (parts === null || source === null || target === null) return 'bad';
  if ((parts[2] as string).includes(':') !== (parts[1] === '6') || /%/.test(parts[2] as string)) return 'bad';
  if (Number(parts[4]) > 65535 || Number(parts[5]) > 65535) return 'bad';
  return { kind: 'header', size, address: formatAddress(source) };
}
