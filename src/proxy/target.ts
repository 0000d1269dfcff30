// Where a request wants to go: one reading of the target, so that what is checked is what is connected to. Pure.
// It decides nothing about policy and resolves nothing.

import { canonicalName, isIpLiteral } from '../blocklist/names.ts';
import { formatAddress, parseAddress } from '../policy/networks.ts';

export type Target = {
  /** canonical name, or an address in its one normal form without brackets */
  readonly host: string;
  readonly isAddress: boolean;
  readonly port: number;
  /** value of the Host field: the host, and the port unless it is the scheme's default */
  readonly authority: string;
  /** origin-form path with query; empty for CONNECT */
  readonly path: string;
};

export type TargetProblem =
  | 'not-proxy' // origin-form: the client takes us for a web server
  | 'scheme' // neither http nor, in CONNECT, a plain host and port
  | 'userinfo'
  | 'host'
  | 'port'
  | 'path';

export type TargetResult = Target | TargetProblem;

type ToAscii = (name: string) => string;

/**
 * Reads the absolute-form target of a forwarded request (`http://host[:port]/path`).
 * `text` is the request line's bytes as Latin-1.
 */
export function parseAbsoluteTarget(text: string, toAscii: ToAscii): TargetResult {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (scheme === null) return text.startsWith('/') || text === '*' ? 'not-proxy' : 'scheme';
  if (scheme[1]!.toLowerCase() !== 'http') return 'scheme';
  const start = scheme[0].length;
  let end = start;
  while (end < text.length && !'/?#'.includes(text[end]!)) end++;
  let path = text.slice(end);
  if (path.includes('#')) return 'path';
  if (!path.startsWith('/')) path = `/${path}`;
  return withHost(text.slice(start, end), 80, path, toAscii);
}

/** Reads the authority-form target of CONNECT: `host:port`, both required. */
export function parseConnectTarget(text: string, toAscii: ToAscii): TargetResult {
  if (/[/?#]/.test(text)) return 'scheme';
  return withHost(text, null, '', toAscii);
}

function withHost(
  authority: string,
  defaultPort: number | null,
  path: string,
  toAscii: ToAscii,
): TargetResult {
  if (authority.includes('@')) return 'userinfo';
  const bracketed = /^\[([^\]]*)\](.*)$/.exec(authority);
  const colon = bracketed === null ? authority.indexOf(':') : -1;
  const hostText = bracketed?.[1] ?? (colon < 0 ? authority : authority.slice(0, colon));
  const rest = bracketed?.[2] ?? (colon < 0 ? '' : authority.slice(colon));
  const port = parsePort(rest, defaultPort);
  if (port === null) return 'port';
  const host = bracketed === null ? parseHost(hostText, toAscii) : parseIpv6(hostText);
  if (host === null) return 'host';
  const isV6 = host.includes(':');
  const shown = isV6 ? `[${host}]` : host;
  return {
    host,
    isAddress: isIpLiteral(host),
    port,
    authority: port === defaultPort ? shown : `${shown}:${port}`,
    path,
  };
}

/** `rest` is what follows the host: empty or `:digits`. An empty port means the default (RFC 3986 3.2.3). */
function parsePort(rest: string, defaultPort: number | null): number | null {
  if (rest === '' || rest === ':') return defaultPort;
  if (!/^:[0-9]{1,5}$/.test(rest)) return null;
  const port = Number(rest.slice(1));
  return port >= 1 && port <= 65535 ? port : null;
}

function parseHost(text: string, toAscii: ToAscii): string | null {
  // a percent in a host is one more way to spell a name; no browser sends it
  if (text === '' || /[%\\]/.test(text)) return null;
  if (/[\x80-\xff]/.test(text)) {
    const decoded = decodeUtf8(text);
    return decoded === null ? null : canonicalName(decoded, toAscii);
  }
  const bare = text.replace(/\.$/, '').toLowerCase();
  // a host whose last label is a number is an IPv4 address or nothing, as browsers have it
  if (/(^|\.)([0-9]+|0x[0-9a-f]*)$/.test(bare)) return parseIpv4(bare);
  return canonicalName(text, toAscii);
}

/** One to four parts, decimal, octal or hex, as inet_aton reads them; dotted decimal comes out. */
function parseIpv4(text: string): string | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const numbers: number[] = [];
  for (const part of parts) {
    if (/^0x[0-9a-f]*$/.test(part)) numbers.push(part.length === 2 ? 0 : parseInt(part.slice(2), 16));
    else if (/^0[0-7]+$/.test(part)) numbers.push(parseInt(part, 8));
    else if (/^(0|[1-9][0-9]*)$/.test(part)) numbers.push(Number(part));
    else return null;
  }
  const last = numbers.pop()!;
  if (numbers.some((n) => n > 255) || !(last < 256 ** (4 - numbers.length))) return null;
  let value = last;
  for (let i = 0; i < numbers.length; i++) value += numbers[i]! * 256 ** (3 - i);
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** Without zone; a mapped IPv4 address comes out as IPv4, so that both spellings meet the same rules. */
function parseIpv6(text: string): string | null {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text) || !text.includes(':')) return null;
  const address = parseAddress(text);
  return address === null ? null : formatAddress(address);
}

/** Latin-1 text that holds UTF-8 bytes, or null when they are not UTF-8. */
function decodeUtf8(text: string): string | null {
  let escaped = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    escaped += code < 0x80 && code !== 0x25 ? text[i]! : `%${code.toString(16).padStart(2, '0')}`;
  }
  try {
    return decodeURIComponent(escaped);
  } catch {
    return null;
  }
}

// Ports on which a plain HTTP request could be taken for another protocol's command (from the Fetch standard's list).
const OTHER_PROTOCOLS = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
  109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
  526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
  3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/** Whether a plain request may go to this port. */
export function isWebPort(port: number): boolean {
  return !OTHER_PROTOCOLS.has(port);
}
