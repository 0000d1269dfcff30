// The question of a message, as bytes: where it ends, whether an answer echoes it, what is the same question asked twice.
// Bounded and silent on malformed bytes; no names are made.

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

/** A key that two queries share when one answer serves both: everything but the id, with the name in lower case. */
export function questionKey(query: Uint8Array, end: number): string {
  const bytes = Buffer.allocUnsafe(query.length - 2);
  for (let i = 2; i < query.length; i++) {
    const byte = query[i] as number;
    bytes[i - 2] = i >= 12 && i < end - 4 ? fold(byte) : byte;
  }
  return bytes.toString('latin1');
}

/** An ASCII byte in lower case. Length bytes are at most 63, so folding every byte of a name harms none of them. */
function fold(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
