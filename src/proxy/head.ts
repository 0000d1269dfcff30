// Reads the head of an HTTP/1.1 request or response, strictly. Pure. Anything that two readers could take in two ways is
// refused (RFC 9112 sections 3, 5, 6 and 11.2), because the next reader is a stranger's server. It rewrites nothing.

export type Field = { readonly name: string; readonly key: string; readonly value: string };

export type HeadProblem = { readonly status: 400 | 417 | 431 | 501 | 505; readonly problem: string };

export type RequestHead = {
  readonly method: string;
  readonly target: string;
  /** 0 or 1: HTTP/1.0 or HTTP/1.1 */
  readonly minor: 0 | 1;
  readonly fields: readonly Field[];
};

export type ResponseHead = {
  readonly minor: 0 | 1;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
};

/** How a body ends: it has none, a known length, chunks, or the end of the connection. */
export type Framing =
  { readonly kind: 'none' | 'chunked' | 'close' } | { readonly kind: 'length'; readonly length: number };

/** bytes of a head, its final empty line included */
export const MAX_HEAD = 32 * 1024;
export const MAX_FIELDS = 100;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
// The usual spellings, so that most names need neither a check nor a copy in lower case.
const KNOWN_NAMES: ReadonlyMap<string, string> = new Map(
  (
    'Host User-Agent Accept Accept-Language Accept-Encoding Connection Proxy-Connection Cookie Referer Cache-Control Pragma Origin ' +
    'Content-Type Content-Length Transfer-Encoding Content-Encoding Date Server Last-Modified ETag Expires Vary Set-Cookie Location ' +
    'Accept-Ranges Age Keep-Alive Upgrade-Insecure-Requests If-None-Match If-Modified-Since Range DNT Via Authorization Link ' +
    'X-Content-Type-Options Access-Control-Allow-Origin Strict-Transport-Security X-Frame-Options'
  )
    .split(' ')
    .flatMap((name) => [
      [name, name.toLowerCase()],
      [name.toLowerCase(), name.toLowerCase()],
    ]),
);
const BAD_TARGET = /[\0-\x20\x7f]/;
const NO_BODY: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'close' };

/** @param text the head as Latin-1, without the empty line that ends it */
export function parseRequestHead(text: string): RequestHead | HeadProblem {
  const lines = text.split('\r\n');
  const first = lines[0]!;
  const space = first.indexOf(' ');
  const second = first.indexOf(' ', space + 1);
  if (space <= 0 || second <= space + 1) return refuse(400, 'the request line is not METHOD TARGET VERSION');
  const method = first.slice(0, space);
  const target = first.slice(space + 1, second);
  const version = first.slice(second + 1);
  if (method.length > 32 || !TOKEN.test(method)) return refuse(400, 'the method is not a token');
  if (!/^HTTP\/[0-9]\.[0-9]$/.test(version)) return refuse(400, 'the version is not HTTP/1.1');
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0')
    return refuse(505, 'only HTTP/1.0 and HTTP/1.1 are spoken here');
  if (BAD_TARGET.test(target)) return refuse(400, 'the target holds a space or a control character');
  const fields = parseFields(lines, 1);
  if (!Array.isArray(fields)) return fields as HeadProblem;
  const minor = version === 'HTTP/1.1' ? 1 : 0;
  return { method, target, minor, fields };
}

/** @param text as for `parseRequestHead` */
export function parseResponseHead(text: string): ResponseHead | HeadProblem {
  const lines = text.split('\r\n');
  const first = /^HTTP\/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(lines[0]!);
  if (first === null) return refuse(400, 'the status line is not HTTP/1.1');
  const fields = parseFields(lines, 1);
  if (!Array.isArray(fields)) return fields as HeadProblem;
  return { minor: first[1] === '1' ? 1 : 0, status: Number(first[2]), reason: first[3] ?? '', fields };
}

/** Field lines from `lines[from]` on; also used for the trailers of a chunked body. */
export function parseFields(lines: readonly string[], from: number): Field[] | HeadProblem {
  if (lines.length - from > MAX_FIELDS) return refuse(431, `there are more than ${MAX_FIELDS} header fields`);
  const fields: Field[] = [];
  for (let i = from; i < lines.length; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(':');
    // a folded line, a space before the colon and a line without a colon all fail the token test
    const name = line.slice(0, Math.max(colon, 0));
    let key = KNOWN_NAMES.get(name);
    if (key === undefined) {
      if (!TOKEN.test(name)) return refuse(400, 'a header line is not NAME: VALUE');
      key = name.toLowerCase();
    }
    let start = colon + 1;
    let end = line.length;
    while (start < end && isBlank(line.charCodeAt(start))) start++;
    while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
    const value = line.slice(start, end);
    if (CONTROL.test(value)) return refuse(400, 'a header value holds a control character');
    fields.push({ name, key, value });
  }
  return fields;
}

/** How the request's body is framed, or why the request cannot be taken. */
export function requestFraming(head: RequestHead): Framing | HeadProblem {
  const lengths = readLength(head.fields);
  const codings = readCodings(head.fields);
  if (codings !== null) {
    if (lengths !== null) return refuse(400, 'Content-Length and Transfer-Encoding together');
    if (head.minor === 0) return refuse(400, 'Transfer-Encoding in HTTP/1.0');
    if (codings !== 'chunked') return refuse(501, 'a transfer coding other than chunked');
    return CHUNKED;
  }
  if (lengths === 'bad') return refuse(400, 'Content-Length is not one number');
  return lengths === null ? NO_BODY : { kind: 'length', length: lengths };
}

/** How the response's body is framed, or why it cannot be passed on. */
export function responseFraming(head: ResponseHead, method: string): Framing | HeadProblem {
  const lengths = readLength(head.fields);
  const codings = readCodings(head.fields);
  if (lengths === 'bad') return refuse(400, 'Content-Length is not one number');
  if (codings !== null && (lengths !== null || head.minor === 0 || codings !== 'chunked'))
    return refuse(400, 'Transfer-Encoding cannot be trusted');
  if (method === 'HEAD' || head.status < 200 || head.status === 204 || head.status === 304) return NO_BODY;
  if (codings !== null) return CHUNKED;
  if (lengths === null) return UNTIL_CLOSE;
  return { kind: 'length', length: lengths };
}

/** Whether the sender means to keep the connection: HTTP/1.1 without `close`. Older ones are not kept. */
export function isPersistent(head: { minor: 0 | 1; fields: readonly Field[] }): boolean {
  if (head.minor === 0) return false;
  for (const field of head.fields)
    if (field.key === 'connection' || field.key === 'proxy-connection')
      if (listHas(field.value, 'close')) return false;
  return true;
}

export function fieldValue(fields: readonly Field[], key: string): string | null {
  for (const field of fields) if (field.key === key) return field.value;
  return null;
}

/** Whether a comma-separated value holds `item`, case aside. */
export function listHas(value: string, item: string): boolean {
  if (value.length === item.length) return value.toLowerCase() === item;
  return value.split(',').some((part) => part.trim().toLowerCase() === item);
}

export function isProblem<T extends object>(result: T | HeadProblem): result is HeadProblem {
  return 'problem' in result;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function readLength(fields: readonly Field[]): number | 'bad' | null {
  let found: string | null = null;
  for (const field of fields) {
    if (field.key !== 'content-length') continue;
    if (!/^[0-9]{1,15}$/.test(field.value) || (found !== null && found !== field.value)) return 'bad';
    found = field.value;
  }
  return found === null ? null : Number(found);
}

function readCodings(fields: readonly Field[]): string | null {
  let found: string | null = null;
  for (const field of fields)
    if (field.key === 'transfer-encoding')
      found = found === null ? field.value.toLowerCase() : `${found},${field.value.toLowerCase()}`;
  return found;
}

function refuse(status: HeadProblem['status'], problem: string): HeadProblem {
  return { status, problem };
}
