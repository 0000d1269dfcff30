// A single-producer, single-consumer ring of byte records over shared memory. It carries audit events from one data
// thread to the audit writer; main owns the memory, so what was written outlives the thread that wrote it.
// It knows nothing of what the records mean.

const WRITTEN = 0; // bytes ever written, modulo 2^32
const READ = 1; // bytes ever read, modulo 2^32
const HEADER_BYTES = 64;
const WRAP = 0xffffffff; // a length that says: the next record is at the start
const WORD = 4;

/** The longest record a ring takes, in bytes. */
export const MAX_RECORD = 16_384;

/** Fills `into` from `offset` and gives the bytes it used, or -1 when they do not fit. */
export type RecordEncoder<T> = (value: T, into: Uint8Array, offset: number) => number;

export type RingProducer<T> = {
  /** false when the ring is full or the record does not fit into one; nothing was written then */
  write(value: T): boolean;
};

export type RingConsumer = {
  /** Hands at most `most` records to `take`, oldest first; `bytes` is valid only during the call. Gives the number taken. */
  drain(most: number, take: (bytes: Uint8Array, offset: number, length: number) => void): number;
  /** bytes that wait, as a share of the ring (0 to 1) */
  fill(): number;
};

/** Memory for a ring of `capacity` bytes, a power of two of at least 64 KiB. */
export function createRingMemory(capacity: number): SharedArrayBuffer {
  if (capacity < 65536 || (capacity & (capacity - 1)) !== 0) {
    throw new RangeError(`ring capacity must be a power of two of at least 65536, not ${capacity}`);
  }
  return new SharedArrayBuffer(HEADER_BYTES + capacity);
}

type RingViews = { state: Int32Array; words: Uint32Array; bytes: Uint8Array; capacity: number };

function viewRing(memory: SharedArrayBuffer): RingViews {
  return {
    state: new Int32Array(memory, 0, 2),
    words: new Uint32Array(memory, HEADER_BYTES),
    bytes: new Uint8Array(memory, HEADER_BYTES),
    capacity: memory.byteLength - HEADER_BYTES,
  };
}

const padded = (length: number): number => (length + WORD - 1) & ~(WORD - 1);

export function openRingProducer<T>(memory: SharedArrayBuffer, encode: RecordEncoder<T>): RingProducer<T> {
  const { state, words, bytes, capacity } = viewRing(memory);
  const scratch = new Uint8Array(MAX_RECORD);
  return {
    write(value) {
      const length = encode(value, scratch, 0);
      if (length <= 0) return false;
      let written = Atomics.load(state, WRITTEN) >>> 0;
      const used = (written - Atomics.load(state, READ)) >>> 0;
      let at = written & (capacity - 1);
      const need = WORD + padded(length);
      const toEnd = capacity - at;
      // A record never wraps: what is left at the end is skipped when it is too short.
      const skip = toEnd < need ? toEnd : 0;
      if (used + skip + need > capacity) return false;
      if (skip > 0) {
        words[at / WORD] = WRAP;
        written = (written + skip) >>> 0;
        at = 0;
      }
      words[at / WORD] = length;
      const start = at + WORD;
      for (let i = 0; i < length; i++) bytes[start + i] = scratch[i]!;
      // The store publishes the bytes before it: the consumer loads WRITTEN first.
      Atomics.store(state, WRITTEN, (written + need) | 0);
      return true;
    },
  };
}

export function openRingConsumer(memory: SharedArrayBuffer): RingConsumer {
  const { state, words, bytes, capacity } = viewRing(memory);
  return {
    drain(most, take) {
      let taken = 0;
      let read = Atomics.load(state, READ) >>> 0;
      const written = Atomics.load(state, WRITTEN) >>> 0;
      while (read !== written && taken < most) {
        const at = read & (capacity - 1);
        const length = words[at / WORD]!;
        if (length === WRAP) {
          read = (read + capacity - at) >>> 0;
          continue;
        }
        try {
          take(bytes, at + WORD, length);
        } finally {
          // A record that its reader chokes on is passed over, never met again.
          read = (read + WORD + padded(length)) >>> 0;
          Atomics.store(state, READ, read | 0);
        }
        taken += 1;
      }
      Atomics.store(state, READ, read | 0);
      return taken;
    },
    fill() {
      return ((Atomics.load(state, WRITTEN) - Atomics.load(state, READ)) >>> 0) / capacity;
    },
  };
}
