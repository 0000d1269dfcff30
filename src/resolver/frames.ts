// Messages out of a byte stream where each is preceded by its length in two bytes (RFC 1035, section 4.2.2), however the stream
// is cut up. Holds one unfinished message at most.

/** Takes chunks of the stream; `onMessage` gets each message whole, its bytes good for the time of the call. */
export function createFrameReader(onMessage: (message: Uint8Array) => void): (chunk: Uint8Array) => void {
  /** the bytes of the length that have come, when not both have: -1 for none */
  let high = -1;
  let unfinished: Uint8Array | null = null;
  let filled = 0;

  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (unfinished !== null) {
        const part = chunk.subarray(at, at + unfinished.length - filled);
        unfinished.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < unfinished.length) return;
        const message = unfinished;
        unfinished = null;
        onMessage(message);
        continue;
      }
      if (high < 0) {
        high = chunk[at++] as number;
        continue;
      }
      const size = (high << 8) | (chunk[at++] as number);
      high = -1;
      if (at + size <= chunk.length) {
        at += size;
        onMessage(chunk.subarray(at - size, at));
      } else {
        unfinished = new Uint8Array(size);
        filled = 0;
      }
    }
  };
}
