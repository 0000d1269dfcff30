// The question of a message, as bytes: where it ends, whether an answer echoes it, what is the same question asked twice, its
// letters in mixed case. Bounded and silent on malformed bytes; no names are made.

/** Offset after the first question of a message of any kind; -1 when there is not exactly one, or it is malformed. */
export function questionEnd(message: Uint8Array): number {
  if (message.length < 17 || message[4] !== 0 || message[5] !== 1) return -1;
  let at = 12;
  for (;;) {
    const size = message[at];
    if (size === undefined || size > 63 || at > 12 + 254) return -1;
    at += size + 1;
    if (size === 0) break;
  }
  return at + 4 <= message.length ? at + 4 : -1;
}

/** Whether `answer` is an answer to the very question of `query`; letters may differ in case. `end` is the question's end. */
export function answersQuestion(query: Uint8Array, answer: Uint8Array, end: number): boolean {
  // An answer, with the same opcode, and one question.
  if (answer.length < end || ((answer[2] as number) & 0xf8) !== (0x80 | ((query[2] as number) & 0x78)))
    return false;
  if (answer[4] !== 0 || answer[5] !== 1) return false;
  const nameEnd = end - 4;
  for (let i = 12; i < nameEnd; i++) {
    if (fold(query[i] as number) !== fold(answer[i] as number)) return false;
  }
  for (let i = nameEnd; i < end; i++) {
    if (query[i] !== answer[i]) return false;
  }
  return true;
}

/** Whether the letters of the question came back just as they were sent. */
export function sameLetters(query: Uint8Array, answer: Uint8Array, end: number): boolean {
  for (let i = 12; i < end - 4; i++) if (query[i] !== answer[i]) return false;
  return true;
}

/** A number that two queries share when one answer serves both; `seed` keeps others from making many that share it. */
export function questionHash(query: Uint8Array, length: number, end: number, seed: number): number {
  let hash = seed ^ length;
  const nameEnd = end - 4;
  for (let i = 2; i < 12; i++) hash = Math.imul(hash ^ (query[i] as number), 0x01000193);
  for (let i = 12; i < nameEnd; i++) hash = Math.imul(hash ^ fold(query[i] as number), 0x01000193);
  for (let i = nameEnd; i < length; i++) hash = Math.imul(hash ^ (query[i] as number), 0x01000193);
  hash ^= hash >>> 15;
  return hash ^ (hash >>> 7);
}

/** Whether one answer serves both: everything is the same but the id and the case of the name. `a` may have room to spare. */
export function sameQuery(a: Uint8Array, aLength: number, b: Uint8Array, end: number): boolean {
  if (aLength !== b.length) return false;
  for (let i = 2; i < aLength; i++) {
    if (a[i] === b[i]) continue;
    if (i < 12 || i >= end - 4 || fold(a[i] as number) !== fold(b[i] as number)) return false;
  }
  return true;
}

/** Gives each letter of the question's name a case by chance, so that who forges an answer has to guess that as well. */
export function mixCase(query: Uint8Array, end: number, random16: () => number): void {
  let bits = 1;
  for (let i = 12; i < end - 4; i++) {
    const lower = (query[i] as number) | 0x20;
    // Length bytes are at most 63 and never letters.
    if (lower < 0x61 || lower > 0x7a || (query[i] as number) < 0x41) continue;
    if (bits === 1) bits = 0x10000 | random16();
    query[i] = (bits & 1) === 0 ? lower : lower & 0xdf;
    bits >>>= 1;
  }
}

/** An ASCII byte in lower case. Length bytes are at most 63, so folding every byte of a name harms none of them. */
function fold(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
