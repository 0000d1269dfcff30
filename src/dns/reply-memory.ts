// Memory for answers: pieces of large blocks, each written once and then left to whoever sends it, so that an answer costs
// neither a copy nor an allocation of its own.

export type ReplyMemory = {
  /** makes sure that `size` bytes can be written; returns where they begin in `bytes()` */
  room(size: number): number;
  bytes(): Uint8Array;
  /** hands out what was written from the last `room` up to `end`; the next answer begins after it */
  take(end: number): Uint8Array;
};

const BLOCK = 64 * 1024;

export function createReplyMemory(): ReplyMemory {
  let block = new Uint8Array(BLOCK);
  let at = 0;
  return {
    room(size) {
      if (at + size > block.length) {
        block = new Uint8Array(Math.max(BLOCK, size));
        at = 0;
      }
      return at;
    },
    bytes: () => block,
    take(end) {
      const answer = block.subarray(at, end);
      at = end;
      return answer;
    },
  };
}
