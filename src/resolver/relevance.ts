// Which records of an answer belong to what was asked: those that the question's name leads to by the CNAMEs of the answer
// itself. A DNAME leads nowhere by itself: a server writes the CNAME that follows from it beside it (RFC 6672, section 3.1).
// What else a server puts there is nobody's business and must not be believed. Pure; bounded by the message.

const TYPE_CNAME = 5;
const TYPE_DNAME = 39;
const HEADER = 12;
/** A record takes at least 11 bytes, so no message has more than these. */
const MAX_RECORDS = 5957;
/** Names that the question may lead to; a longer chain is taken for an attack. */
const MAX_NAMES = 32;
const MAX_HOPS = 64;

type Link = { readonly owner: string; readonly target: string; readonly type: number };

/**
 * For each record of the answer section 1 when the question, which ends at `end`, leads to it and 0 when not; null when the
 * section is malformed or leads too far. `RRSIG`s count by their owner like any record.
 */
export function reachedRecords(message: Uint8Array, end: number): Uint8Array | null {
  const count = uint16(message, 6);
  if (count > MAX_RECORDS) return null;
  const question = readName(message, HEADER);
  if (question === null) return null;
  const reached = new Uint8Array(count);
  const owners: (string | null)[] = [];
  const links: Link[] = [];
  let at = end;
  for (let record = 0; record < count; record++) {
    // Most owners are a pointer to the question.
    const isQuestion = message[at] === 0xc0 && message[at + 1] === HEADER;
    const owner = isQuestion ? question : readName(message, at);
    const fields = skipName(message, at);
    if (owner === null || fields < 0 || fields + 10 > message.length) return null;
    const type = uint16(message, fields);
    at = fields + 10 + uint16(message, fields + 8);
    if (at > message.length) return null;
    owners.push(owner);
    if (type !== TYPE_CNAME && type !== TYPE_DNAME) continue;
    const target = readName(message, fields + 10);
    if (target === null || links.length === MAX_NAMES) return null;
    links.push({ owner, target, type });
  }
  const names = follow(question, links);
  if (names === null) return null;
  const signposts = new Set(
    links
      .filter(({ type, owner }) => type === TYPE_DNAME && isAboveAny(owner, names))
      .map(({ owner }) => owner),
  );
  owners.forEach((owner, record) => {
    if (owner !== null && (names.has(owner) || signposts.has(owner))) reached[record] = 1;
  });
  return reached;
}

/** The names that the links lead to, in whatever order they stand; null when these are too many. */
function follow(question: string, links: readonly Link[]): Set<string> | null {
  const names = new Set([question]);
  for (const name of names) {
    for (const { owner, target, type } of links) {
      if (type === TYPE_CNAME && owner === name) names.add(target);
      if (names.size > MAX_NAMES) return null;
    }
  }
  return names;
}

function isAboveAny(owner: string, names: ReadonlySet<string>): boolean {
  for (const name of names) if (isBelow(name, owner)) return true;
  return false;
}

/** Whether a name in wire form lies below another; a match must begin at a label. */
function isBelow(name: string, owner: string): boolean {
  if (name.length <= owner.length || !name.endsWith(owner)) return false;
  const from = name.length - owner.length;
  let at = 0;
  while (at < from) at += name.charCodeAt(at) + 1;
  return at === from;
}

/** A name in wire form, uncompressed and in lower case, a character for each byte; null when it is malformed. */
function readName(message: Uint8Array, start: number): string | null {
  let text = '';
  let at = start;
  for (let hops = 0; hops < MAX_HOPS;) {
    const size = message[at];
    if (size === undefined) return null;
    if (size >= 192) {
      const to = ((size & 63) << 8) | (message[at + 1] ?? 0);
      // A pointer leads backwards, or round and round.
      if (at + 1 >= message.length || to >= at) return null;
      at = to;
      hops++;
      continue;
    }
    if (size > 63 || at + size >= message.length || text.length + size + 1 > 255) return null;
    text += String.fromCharCode(size);
    for (let i = at + 1; i <= at + size; i++) {
      const byte = message[i] as number;
      text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
    }
    at += size + 1;
    if (size === 0) return text;
  }
  return null;
}

/** Offset after the name at `at`; -1 when it is malformed. */
function skipName(message: Uint8Array, at: number): number {
  for (;;) {
    const size = message[at];
    if (size === undefined || (size > 63 && size < 192)) return -1;
    if (size >= 192) return at + 2;
    at += size + 1;
    if (size === 0) return at;
  }
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
