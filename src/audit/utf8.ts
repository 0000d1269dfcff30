// Text to UTF-8 and back, for the event codec: the pure rooms have no TextEncoder. Not a validator: bad bytes and
// lone surrogates become U+FFFD, as the Encoding standard has it.

const REPLACEMENT = 0xfffd;

/**
 * Writes at most `limit` UTF-16 units of `text` at `at` and returns the offset after them. Nothing is written past
 * the end of `into`, but the offset still counts those bytes: the caller compares it with the length once.
 */
export function writeUtf8(text: string, limit: number, into: Uint8Array, at: number): number {
  const units = text.length < limit ? text.length : limit;
  let i = 0;
  for (; i < units; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) break;
    into[at + i] = code;
  }
  return i === units ? at + i : writeWide(text, i, units, into, at + i);
}

function writeWide(text: string, from: number, units: number, into: Uint8Array, at: number): number {
  let out = at;
  for (let i = from; i < units; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      into[out++] = code;
      continue;
    }
    if (code < 0x800) {
      into[out++] = 0xc0 | (code >> 6);
      into[out++] = 0x80 | (code & 63);
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const low = code < 0xdc00 && i + 1 < units ? text.charCodeAt(i + 1) : 0;
      if (low >= 0xdc00 && low < 0xe000) {
        i++;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        into[out++] = 0xf0 | (code >> 18);
        into[out++] = 0x80 | ((code >> 12) & 63);
        into[out++] = 0x80 | ((code >> 6) & 63);
        into[out++] = 0x80 | (code & 63);
        continue;
      }
      code = REPLACEMENT;
    }
    into[out++] = 0xe0 | (code >> 12);
    into[out++] = 0x80 | ((code >> 6) & 63);
    into[out++] = 0x80 | (code & 63);
  }
  return out;
}

/** The text of bytes[from, to). Never throws; `to` must lie within `bytes`. */
export function readUtf8(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x80) return text + readWide(bytes, i, to);
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Gives the text of bytes[from, to) as `readUtf8` does. */
export type TextReader = (bytes: Uint8Array, from: number, to: number) => string;

/** Longest text remembered, in bytes. */
const REMEMBERED = 64;

/** A reader that gives the same string again for texts it met lately: of events that follow each other most are the same. */
export function createTextReader(slots = 4096): TextReader {
  const texts: string[] = new Array<string>(slots).fill('');
  return (bytes, from, to) => {
    const length = to - from;
    if (length > REMEMBERED) return readUtf8(bytes, from, to);
    let hash = length;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (slots - 1);
    const held = texts[slot]!;
    if (held.length === length) {
      let i = 0;
      while (i < length && held.charCodeAt(i) === bytes[from + i]) i++;
      // Only plain ASCII can be equal here: every other character takes more than the one byte.
      if (i === length) return held;
    }
    const text = readUtf8(bytes, from, to);
    if (text.length === length) texts[slot] = text;
    return text;
  };
}

function readWide(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  let i = from;
  while (i < to) {
    const first = bytes[i++]!;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
    let code = more === 3 ? first & 7 : more === 2 ? first & 15 : first & 31;
    let taken = 0;
    while (taken < more && i + taken < to && (bytes[i + taken]! & 0xc0) === 0x80) {
      code = (code << 6) | (bytes[i + taken]! & 63);
      taken++;
    }
    const least = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80;
    const good = more > 0 && first < 0xf5 && taken === more && code >= least && code <= 0x10ffff;
    if (good && !(code >= 0xd800 && code < 0xe000)) {
      text += String.fromCodePoint(code);
      i += taken;
    } else {
      text += '\ufffd';
    }
  }
  return text;
}
