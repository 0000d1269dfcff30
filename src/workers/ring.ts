// A single-producer, single-consumer ring of byte records over shared memory. It carries audit events from one data
// thread to the audit writer; main owns the memory, so what was written outlives the thread that wrote it. An open record
// takes further amounts until it is read. It knows nothing of what the records mean.

const WRITTEN = 0; // bytes ever written, modulo 2^32
const READ = 1; // bytes ever read and done with, modulo 2^32
const STAMP = 2; // two words that no other ring has
const HEADER_BYTES = 64;
const WORD = 4;
/** Records lie at multiples of this, for the sake of the numbers in open ones. */
const UNIT = 8;
const WRAP = 0xffffffff; // a length that says: the next record is at the start
const OPEN = 0x80000000; // a bit of the length that says: the amounts of an open record come before the bytes

/** Words of a record's head: its length, and for an open one who may touch its amounts. */
const GATE = 1;
const HEAD = 2 * WORD;
/** The amounts: two words (how many, the longest), two 64-bit numbers (bytes in and out). */
const AMOUNTS = 24;
const FREE = 0;
const HELD = 1;
const TAKEN = 2;
/** Drains that a consumer waits for a producer stopped in the middle of adding: a busy machine may, a dead thread does. */
const PATIENCE = 20;

/** The longest record a ring takes, in bytes. */
export const MAX_RECORD = 16_384;

/** Fills `into` from `offset` and gives the bytes it used, or -1 when they do not fit. */
export type RecordEncoder<T> = (value: T, into: Uint8Array, offset: number) => number;

/** What was added to an open record before it was read. */
export type Amounts = { count: number; bytesIn: number; bytesOut: number; micros: number };

export type RingProducer<T> = {
  /** false when less than `spare` bytes would be left or the record does not fit into one; nothing was written then */
  write(value: T, spare?: number): boolean;
  /** likewise a record that `add` may find again by what this gives; -1 when it was not written */
  writeOpen(value: T): number;
  /** Adds one more to an open record (`micros`: the longest counts). false when it was read already: nothing was added. */
  add(place: number, bytesIn: number, bytesOut: number, micros: number): boolean;
  /** bytes that wait, as a share of the ring (0 to 1) */
  fill(): number;
};

export type RingConsumer = {
  /**
   * Hands at most `most` records to `take`, oldest first; `bytes` and `added` (null: nothing) are valid only during the
   * call. Gives the number taken. They come again to the next consumer until they are let go of.
   */
  drain(
    most: number,
    take: (bytes: Uint8Array, offset: number, length: number, added: Readonly<Amounts> | null) => void,
  ): number;
  /** gives back the room of all that was drained */
  release(): void;
  /** where it has got to: a successor given this begins there */
  mark(): string;
  /** bytes that wait, as a share of the ring (0 to 1) */
  fill(): number;
};

/** Memory for a ring of `capacity` bytes, a power of two of at least 64 KiB. */
export function createRingMemory(capacity: number): SharedArrayBuffer {
  if (capacity < 65536 || (capacity & (capacity - 1)) !== 0) {
    throw new RangeError(`ring capacity must be a power of two of at least 65536, not ${capacity}`);
  }
  const memory = new SharedArrayBuffer(HEADER_BYTES + capacity);
  // So that a mark in one ring is never taken for one in another.
  new Int32Array(memory).set(crypto.getRandomValues(new Int32Array(2)), STAMP);
  return memory;
}

type RingViews = {
  state: Int32Array;
  words: Uint32Array;
  numbers: Float64Array;
  bytes: Uint8Array;
  capacity: number;
};

function viewRing(memory: SharedArrayBuffer): RingViews {
  return {
    state: new Int32Array(memory, 0, 4),
    words: new Uint32Array(memory, HEADER_BYTES),
    numbers: new Float64Array(memory, HEADER_BYTES),
    bytes: new Uint8Array(memory, HEADER_BYTES),
    capacity: memory.byteLength - HEADER_BYTES,
  };
}

const padded = (length: number): number => (length + UNIT - 1) & ~(UNIT - 1);

export function openRingProducer<T>(memory: SharedArrayBuffer, encode: RecordEncoder<T>): RingProducer<T> {
  const { state, words, numbers, bytes, capacity } = viewRing(memory);
  const scratch = new Uint8Array(MAX_RECORD);
  // As a whole number that never wraps, so that a place is never mistaken for a later one.
  let written = Atomics.load(state, WRITTEN) >>> 0;

  /** the place of the record, or -1 */
  const put = (value: T, spare: number, open: boolean): number => {
    const length = encode(value, scratch, 0);
    if (length <= 0) return -1;
    const used = ((written | 0) - Atomics.load(state, READ)) >>> 0;
    let at = written & (capacity - 1);
    const head = open ? HEAD + AMOUNTS : HEAD;
    const need = head + padded(length);
    const toEnd = capacity - at;
    // A record never wraps: what is left at the end is skipped when it is too short.
    const skip = toEnd < need ? toEnd : 0;
    if (used + skip + need + spare > capacity) return -1;
    if (skip > 0) {
      words[at / WORD] = WRAP;
      written += skip;
      at = 0;
    }
    const word = at / WORD;
    words[word] = open ? (length | OPEN) >>> 0 : length;
    if (open) {
      words[word + GATE] = FREE;
      words[word + 2] = words[word + 3] = 0;
      numbers[at / 8 + 2] = numbers[at / 8 + 3] = 0;
    }
    const start = at + head;
    for (let i = 0; i < length; i++) bytes[start + i] = scratch[i]!;
    const place = written;
    written += need;
    // The store publishes the bytes before it: the consumer loads WRITTEN first.
    Atomics.store(state, WRITTEN, written | 0);
    return place;
  };

  return {
    write: (value, spare = 0) => put(value, spare, false) >= 0,
    writeOpen: (value) => put(value, 0, true),
    add(place, bytesIn, bytesOut, micros) {
      // Further back than the ring is long, something else lies there by now. A record that was read is marked so until then.
      if (place < 0 || written - place > capacity) return false;
      const at = place & (capacity - 1);
      const word = at / WORD;
      if (Atomics.compareExchange(words, word + GATE, FREE, HELD) !== FREE) return false;
      words[word + 2] = words[word + 2]! + 1;
      if (micros > words[word + 3]!) words[word + 3] = micros;
      const number = at / 8;
      numbers[number + 2] = numbers[number + 2]! + bytesIn;
      numbers[number + 3] = numbers[number + 3]! + bytesOut;
      return Atomics.compareExchange(words, word + GATE, HELD, FREE) === HELD;
    },
    fill: () => (((written | 0) - Atomics.load(state, READ)) >>> 0) / capacity,
  };
}

/**
 * `after` is a mark of a predecessor, who dealt with all before it; one that is not of this ring says nothing. `patience`:
 * drains, in vain, until a record is taken out of the hand of a producer that does not let go of it.
 */
export function openRingConsumer(
  memory: SharedArrayBuffer,
  { after = null, patience = PATIENCE }: { after?: string | null; patience?: number } = {},
): RingConsumer {
  const { state, words, numbers, bytes, capacity } = viewRing(memory);
  const added: Amounts = { count: 0, bytesIn: 0, bytesOut: 0, micros: 0 };
  const stamp = `${state[STAMP]!}.${state[STAMP + 1]!}.`;
  let read = Atomics.load(state, READ) >>> 0;
  const marked = after?.startsWith(stamp) === true ? Number(after.slice(stamp.length)) : read;
  const waiting = (Atomics.load(state, WRITTEN) - read) >>> 0;
  if (Number.isInteger(marked) && (marked - read) >>> 0 <= waiting) read = marked;
  let left = patience;

  /** Nothing more can be added to the record at `at` after this; false when its producer is just about to. */
  const close = (at: number): boolean => {
    const gate = at / WORD + GATE;
    if (Atomics.compareExchange(words, gate, FREE, TAKEN) === HELD) {
      if (--left > 0) return false;
      Atomics.store(words, gate, TAKEN);
    }
    left = patience;
    added.count = words[at / WORD + 2]!;
    added.micros = words[at / WORD + 3]!;
    added.bytesIn = numbers[at / 8 + 2]!;
    added.bytesOut = numbers[at / 8 + 3]!;
    return true;
  };

  return {
    drain(most, take) {
      let taken = 0;
      const written = Atomics.load(state, WRITTEN) >>> 0;
      while (read !== written && taken < most) {
        const at = read & (capacity - 1);
        const first = words[at / WORD]!;
        if (first === WRAP) {
          read = (read + capacity - at) >>> 0;
          continue;
        }
        const open = first >= OPEN;
        if (open && !close(at)) break;
        const length = first & ~OPEN;
        const head = open ? HEAD + AMOUNTS : HEAD;
        // A record that its reader chokes on is passed over, never met again.
        read = (read + head + padded(length)) >>> 0;
        taken += 1;
        take(bytes, at + head, length, open && added.count > 0 ? added : null);
      }
      return taken;
    },
    release: () => void Atomics.store(state, READ, read | 0),
    mark: () => `${stamp}${read}`,
    fill() {
      return ((Atomics.load(state, WRITTEN) - Atomics.load(state, READ)) >>> 0) / capacity;
    },
  };
}
