// Rewrites heads on their way through: hop-by-hop fields off, Via and framing on (RFC 9110 section 7.6). Pure.
// The reading and its checks are in head.ts.

import { listHas } from './head.ts';
import type { Field, Framing, RequestHead, ResponseHead } from './head.ts';
import type { Target } from './target.ts';

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);
// what would tell the origin which pupil asks
const TELLING = new Set(['x-forwarded-for', 'forwarded', 'x-real-ip', 'client-ip']);
// trailers may not alter how a message is framed, routed or authenticated (RFC 9110 section 6.5.1)
const NOT_IN_TRAILERS = new Set([
  ...HOP_BY_HOP,
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'host',
  'trailer',
  'authorization',
  'set-cookie',
  'cookie',
  'cache-control',
  'max-forwards',
  'expect',
  'via',
]);

/** The head for the origin. `upgrade` keeps a WebSocket upgrade alive; `via` is our name in the chain. */
export function requestLines(
  head: RequestHead,
  target: Target,
  framing: Framing,
  options: { via: string; upgrade: boolean },
): string {
  const named = namedInConnection(head.fields);
  const counted = head.method === 'OPTIONS' || head.method === 'TRACE';
  // OPTIONS for a whole server has no path in its absolute form (RFC 9112 section 3.2.4)
  const wholeServer = head.method === 'OPTIONS' && /^[^/]*\/\/[^/?]*$/.test(head.target);
  const path = wholeServer ? '*' : target.path;
  let out = `${head.method} ${path} HTTP/1.1\r\nHost: ${target.authority}\r\n`;
  for (const { name, key, value } of head.fields) {
    if (key === 'host' || key === 'content-length' || dropped(key, named) || TELLING.has(key)) continue;
    out += counted && key === 'max-forwards' ? `${name}: ${lessOne(value)}\r\n` : `${name}: ${value}\r\n`;
  }
  out += framingLine(framing) + `Via: 1.${head.minor} ${options.via}\r\n`;
  if (options.upgrade) out += 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  return out + '\r\n';
}

/**
 * The head for the client. `framing` is how the body goes out, `keep` whether the connection lives on after it.
 * A HEAD or 304 answer keeps the length it tells of.
 */
export function responseLines(
  head: ResponseHead,
  framing: Framing,
  options: { via: string; keep: boolean; upgrade: boolean },
): string {
  const named = namedInConnection(head.fields);
  let out = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
  let told = false;
  for (const { name, key, value } of head.fields) {
    if (dropped(key, named)) continue;
    if (key === 'content-length') {
      // a length means nothing beside chunks, and must not follow a 1xx or 204 (RFC 9110 section 8.6)
      if (framing.kind === 'chunked' || framing.kind === 'close' || told) continue;
      if (head.status < 200 || head.status === 204) continue;
      told = true;
    }
    out += `${name}: ${value}\r\n`;
  }
  if (framing.kind === 'chunked') out += 'Transfer-Encoding: chunked\r\n';
  out += `Via: 1.${head.minor} ${options.via}\r\n`;
  if (options.upgrade) out += 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  else if (head.status >= 200 && !options.keep) out += 'Connection: close\r\n';
  return out + '\r\n';
}

/** Trailers that may be passed on, as lines; empty when none may. */
export function trailerLines(fields: readonly Field[]): string {
  let out = '';
  for (const { name, key, value } of fields)
    if (!NOT_IN_TRAILERS.has(key) && !key.startsWith('proxy-')) out += `${name}: ${value}\r\n`;
  return out;
}

/** Whether the client asks to turn a plain request into a WebSocket. */
export function asksWebSocket(head: RequestHead): boolean {
  if (head.method !== 'GET' || head.minor === 0) return false;
  let connection = false;
  let upgrade = false;
  for (const { key, value } of head.fields) {
    if (key === 'connection' && listHas(value, 'upgrade')) connection = true;
    if (key === 'upgrade' && listHas(value, 'websocket')) upgrade = true;
  }
  return connection && upgrade;
}

function framingLine(framing: Framing): string {
  if (framing.kind === 'length') return `Content-Length: ${framing.length}\r\n`;
  return framing.kind === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
}

function dropped(key: string, named: ReadonlySet<string> | null): boolean {
  return HOP_BY_HOP.has(key) || key.startsWith('proxy-') || (named !== null && named.has(key));
}

/** Names that Connection lists besides its own options: they too are for this hop only. */
function namedInConnection(fields: readonly Field[]): ReadonlySet<string> | null {
  let named: Set<string> | null = null;
  for (const { key, value } of fields) {
    if (key !== 'connection') continue;
    for (const part of value.split(',')) {
      const item = part.trim().toLowerCase();
      if (item === '' || item === 'close' || item === 'keep-alive' || item === 'upgrade') continue;
      (named ??= new Set()).add(item);
    }
  }
  return named;
}

function lessOne(value: string): string {
  return /^[0-9]{1,9}$/.test(value) && value !== '0' ? String(Number(value) - 1) : value;
}

/** Whether the head has to do with a login that holds for the connection, not the request (RFC 4559 section 6). */
export function bindsConnection(head: { readonly fields: readonly Field[] }): boolean {
  return head.fields.some(
    ({ key, value }) =>
      (key === 'authorization' || key === 'www-authenticate') && /(^|[\s,])(ntlm|negotiate)\b/i.test(value),
  );
}
