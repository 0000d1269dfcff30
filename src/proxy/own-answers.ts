// The two methods that a proxy answers itself when Max-Forwards has run out (RFC 9110 sections 7.6.2 and 9.3.8). Pure.

import { fieldValue } from './head.ts';
import type { RequestHead } from './head.ts';

// what TRACE must not show to a script on a page
const SECRET = /^(authorization|cookie|cookie2|proxy-.*)$/;

/** The reply when this proxy is the last to see the request, or null when it goes on. */
export function answerAsLast(head: RequestHead): string | null {
  if (head.method !== 'OPTIONS' && head.method !== 'TRACE') return null;
  if (fieldValue(head.fields, 'max-forwards') !== '0') return null;
  if (head.method === 'OPTIONS')
    return 'HTTP/1.1 200 OK\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT\r\nContent-Length: 0\r\n\r\n';
  const shown = head.fields
    .filter(({ key }) => !SECRET.test(key))
    .map(({ name, value }) => `${name}: ${value}\r\n`);
  const body = `${head.method} ${head.target} HTTP/1.${head.minor}\r\n${shown.join('')}\r\n`;
  return `HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
