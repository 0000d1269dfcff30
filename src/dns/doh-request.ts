// What a DoH request asks (RFC 8484): from its method, path and headers to a query, a body to wait for, or the status to refuse
// it with. Text and bytes only; sockets are server-doh.ts's.

import { readClientId } from './client-id.ts';
import { MAX_QUERY } from './wire.ts';

export type DohRequest =
  | { readonly kind: 'query'; readonly clientId: string | null; readonly packet: Uint8Array }
  /** the query is in the body, of at most `MAX_QUERY` bytes */
  | { readonly kind: 'body'; readonly clientId: string | null }
  | { readonly kind: 'refused'; readonly status: number };

export const DOH_PATH = '/dns-query';
export const DNS_MESSAGE = 'application/dns-message';
export const DOH_METHODS = 'GET, HEAD, POST';

const NOT_FOUND: DohRequest = { kind: 'refused', status: 404 };
const refused = (status: number): DohRequest => ({ kind: 'refused', status });

/** Base64 without padding needs so many characters for the longest query. */
const LONGEST_TEXT = Math.ceil((MAX_QUERY * 4) / 3);

export function readDohRequest(
  method: string,
  target: string,
  contentType: string | undefined,
  contentLength: string | undefined,
): DohRequest {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  let clientId: string | null = null;
  if (path !== DOH_PATH) {
    if (!path.startsWith(`${DOH_PATH}/`)) return NOT_FOUND;
    clientId = readClientId(path.slice(DOH_PATH.length + 1));
    if (clientId === null) return NOT_FOUND;
  }
  if (method === 'POST') {
    if (contentType?.split(';', 1)[0]?.trim().toLowerCase() !== DNS_MESSAGE) return refused(415);
    if (contentLength !== undefined && Number(contentLength) > MAX_QUERY) return refused(413);
    return { kind: 'body', clientId };
  }
  if (method !== 'GET' && method !== 'HEAD') return refused(405);
  const values = (mark < 0 ? '' : target.slice(mark + 1))
    .split('&')
    .filter((part) => part.startsWith('dns='));
  const text = values[0]?.slice(4) ?? '';
  if (text.length > LONGEST_TEXT) return refused(413);
  const packet = values.length === 1 ? decodeBase64Url(text) : null;
  return packet === null || !isQuery(packet) ? refused(400) : { kind: 'query', clientId, packet };
}

/** Whether bytes can be asked at all: a whole header that says it is a query. Answers of others get no answer. */
export function isQuery(packet: Uint8Array): boolean {
  return packet.length >= 12 && packet.length <= MAX_QUERY && ((packet[2] as number) & 0x80) === 0;
}

/** The bytes of unpadded base64url (RFC 4648, section 5), or null. */
function decodeBase64Url(text: string): Uint8Array | null {
  if (text.length % 4 === 1) return null;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const value = valueOf(text.charCodeAt(i));
    if (value < 0) return null;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >>> bits;
    }
  }
  return bytes;
}

function valueOf(letter: number): number {
  if (letter >= 65 && letter <= 90) return letter - 65;
  if (letter >= 97 && letter <= 122) return letter - 71;
  if (letter >= 48 && letter <= 57) return letter + 4;
  return letter === 45 ? 62 : letter === 95 ? 63 : -1;
}
