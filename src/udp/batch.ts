// Many datagrams by one call: the structures that `recvmmsg` and `sendmmsg` read and write, and the slots the packets lie in.
// The structures hold pointers and lie in a buffer of their own that is never given out; a mistake in a parser can spoil
// other packets, but no pointer. Layout: 64-bit Linux, little end first (the self-test looks whether it is so here).

import type { Libc } from './libc.ts';
import { EAGAIN, EINTR } from './libc.ts';
import type { SocketName } from './names.ts';
import { AF_INET, AF_INET6, NAME_BYTES } from './names.ts';

/** Datagrams in one call. */
export const BATCH = 64;
const DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
/** How often a call that a signal broke off is made again. */
const RETRIES = 16;

// In 32-bit words: struct mmsghdr is 64 bytes long, struct iovec 16; 32 are kept for an address.
const HEADER = 16;
const NAME = 0;
const NAME_LENGTH = 2;
const IOV = 4;
const IOV_COUNT = 6;
const FLAGS = 12;
const LENGTH = 14;
const IOVEC = 4;
const IOVEC_LENGTH = 2;
const NAME_ROOM = 8;
const NAMES_AT = BATCH * (HEADER + IOVEC);
const WORDS = NAMES_AT + BATCH * NAME_ROOM;

type Frame = { readonly words: Uint32Array; readonly slots: readonly Uint8Array[]; readonly headers: bigint };

/** The structures with all pointers set; `named` with a place for an address each. */
function frame(libc: Libc, room: number, named: boolean): Frame {
  const words = new Uint32Array(WORDS);
  // An odd number of cache lines from slot to slot, so that the heads of the packets do not all fall in the same set.
  const stride = (Math.ceil(room / 64) | 1) * 64;
  const packets = new Uint8Array(BATCH * stride);
  const headers = libc.addressOf(new Uint8Array(words.buffer));
  const packetsAt = libc.addressOf(packets);
  const point = (at: number, to: bigint): void => {
    words[at] = Number(to & 0xffffffffn);
    words[at + 1] = Number(to >> 32n);
  };
  const slots: Uint8Array[] = [];
  for (let i = 0; i < BATCH; i++) {
    const header = i * HEADER;
    const iovec = BATCH * HEADER + i * IOVEC;
    slots.push(packets.subarray(i * stride, i * stride + room));
    if (named) point(header + NAME, headers + BigInt((NAMES_AT + i * NAME_ROOM) * 4));
    point(header + IOV, headers + BigInt(iovec * 4));
    words[header + IOV_COUNT] = 1;
    point(iovec, packetsAt + BigInt(i * stride));
    words[iovec + IOVEC_LENGTH] = room;
  }
  return { words, slots, headers };
}

/** Who sent a datagram, as the system lays it out, behind its length in bytes: what an answer that comes later is sent by. */
export type Envelope = Uint32Array;

export type Receiver = {
  /** where the packets of the last call lie; good until the next one */
  readonly slots: readonly Uint8Array[];
  /** Takes what is there without waiting. Gives the number of packets, or the error as a number below 0. */
  receive(fd: number): number;
  length(i: number): number;
  /** the packet was longer than its slot, and the rest is lost */
  cut(i: number): boolean;
  /** 0 is possible: anyone can write it into a packet */
  port(i: number): number;
  /** an IPv4 sender, or one in its `::ffff:` form, as a number; -1 for all others */
  v4(i: number): number;
  /** for an IPv6 sender: the words `at(i)` to `at(i) + 3` of `words()` are its address; to be read, never written */
  v6(i: number, read: (words: Uint32Array, at: number) => string): string;
  envelope(i: number): Envelope;
  /** lays the envelope of packet `i` at `at` of `into`; for the sender */
  copyTo(i: number, into: Uint32Array, header: number): void;
};

/** `room` bytes for each packet; a connected socket has one sender only, and nothing is said of it. */
export function createReceiver(libc: Libc, room: number, from: 'anyone' | 'connected'): Receiver {
  const named = from === 'anyone';
  const { words, slots, headers } = frame(libc, room, named);
  const nameBytes = named ? NAME_ROOM * 4 : 0;
  let used = BATCH;

  return {
    slots,
    receive(fd) {
      for (let i = 0; i < used; i++) words[i * HEADER + NAME_LENGTH] = nameBytes;
      used = 0;
      for (let tries = 0; ; tries++) {
        const count = libc.recvmmsg(fd, headers, BATCH, DONTWAIT, null);
        if (count >= 0) {
          used = count;
          return count;
        }
        const error = libc.errno();
        if (error === EAGAIN) return 0;
        if (error !== EINTR || tries === RETRIES) return -error;
      }
    },
    length: (i) => words[i * HEADER + LENGTH]!,
    cut: (i) => (words[i * HEADER + FLAGS]! & MSG_TRUNC) !== 0,
    port(i) {
      const head = words[NAMES_AT + i * NAME_ROOM]!;
      return ((head >>> 8) & 0xff00) | (head >>> 24);
    },
    v4(i) {
      const name = NAMES_AT + i * NAME_ROOM;
      const family = words[name]! & 0xffff;
      let word = words[name + 1]!;
      if (family === AF_INET6) {
        if (words[name + 2] !== 0 || words[name + 3] !== 0 || words[name + 4] !== 0xffff0000) return -1;
        word = words[name + 5]!;
      } else if (family !== AF_INET) return -1;
      return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | ((word & 0xff) << 24)) >>> 0;
    },
    v6: (i, read) => read(words, NAMES_AT + i * NAME_ROOM + 2),
    envelope(i) {
      const taken = new Uint32Array(1 + NAME_ROOM);
      taken[0] = words[i * HEADER + NAME_LENGTH]!;
      for (let w = 0; w < NAME_ROOM; w++) taken[1 + w] = words[NAMES_AT + i * NAME_ROOM + w]!;
      return taken;
    },
    copyTo(i, into, to) {
      const name = NAMES_AT + i * NAME_ROOM;
      const nameTo = NAMES_AT + to * NAME_ROOM;
      into[to * HEADER + NAME_LENGTH] = words[i * HEADER + NAME_LENGTH]!;
      for (let w = 0; w < NAME_BYTES / 4; w++) into[nameTo + w] = words[name + w]!;
    },
  };
}

/** The envelope to a socket address. */
export function addressed(name: SocketName): Envelope {
  const envelope = new Uint32Array(1 + NAME_ROOM);
  envelope[0] = name.bytes.length;
  new Uint8Array(envelope.buffer).set(name.bytes, 4);
  return envelope;
}

export type SendCounts = { sent: number; dropped: number; errors: number; batches: number };

export type Sender = {
  readonly counts: SendCounts;
  /** how many wait; at `BATCH` it must be flushed before another slot is asked for */
  queued(): number;
  /** where the next datagram is to be written */
  slot(): Uint8Array;
  /** Queues what lies in the slot; `length` is no more than the room. On a connected socket, `push` alone. */
  push(length: number): void;
  reply(length: number, receiver: Receiver, i: number): void;
  replyTo(length: number, envelope: Envelope): void;
  /**
   * Sends what is queued, in order. When the system's buffer is full, the rest is dropped; any other error costs
   * the one datagram that caused it. Gives the last such error as a number, or 0.
   */
  flush(fd: number): number;
  /** forgets what is queued */
  clear(): void;
};

export function createSender(libc: Libc, room: number, to: 'anyone' | 'connected'): Sender {
  const { words, slots, headers } = frame(libc, room, to === 'anyone');
  // The system reads as many bytes as it is told to: never beyond the slot.
  const fits = (length: number): boolean => length > 0 && length <= room;
  const starts = Array.from({ length: BATCH }, (_, i) => headers + BigInt(i * HEADER * 4));
  const counts: SendCounts = { sent: 0, dropped: 0, errors: 0, batches: 0 };
  let queued = 0;

  function add(length: number): void {
    words[BATCH * HEADER + queued * IOVEC + IOVEC_LENGTH] = length;
    queued++;
  }

  return {
    counts,
    queued: () => queued,
    slot: () => slots[queued]!,
    push(length) {
      if (fits(length)) add(length);
      else counts.errors++;
    },
    reply(length, receiver, i) {
      if (!fits(length)) {
        counts.errors++;
        return;
      }
      receiver.copyTo(i, words, queued);
      add(length);
    },
    replyTo(length, envelope) {
      if (!fits(length)) {
        counts.errors++;
        return;
      }
      words[queued * HEADER + NAME_LENGTH] = envelope[0]!;
      for (let w = 0; w < NAME_ROOM; w++) words[NAMES_AT + queued * NAME_ROOM + w] = envelope[1 + w]!;
      add(length);
    },
    flush(fd) {
      let last = 0;
      let tries = 0;
      for (let at = 0; at < queued;) {
        const sent = libc.sendmmsg(fd, starts[at]!, queued - at, DONTWAIT);
        if (sent > 0) {
          counts.batches++;
          counts.sent += sent;
          at += sent;
          continue;
        }
        const error = libc.errno();
        if (error === EINTR && tries++ < RETRIES) continue;
        if (error === EAGAIN) {
          counts.dropped += queued - at;
          break;
        }
        counts.errors++;
        last = error;
        at++;
      }
      queued = 0;
      return last;
    },
    clear() {
      queued = 0;
    },
  };
}
