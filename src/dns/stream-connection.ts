// DNS on one stream, plain or encrypted (RFC 7766): many queries, two bytes of length before each, answered as they are
// ready and in any order. Answers that are ready in one turn go out in one write.

import type { Socket } from 'node:net';
import { PADDING_BLOCK, addKeepAlive, padAnswer, wantsKeepAlive } from './answer-options.ts';
import type { Seat, StreamCounts } from './stream-front.ts';
import type { DnsHandler } from './types.ts';
import { ANSWER_ROOM } from './types.ts';
import { MAX_QUERY } from './wire.ts';

/** Queries of one connection that wait for answers; further ones wait in the socket. */
const MAX_IN_FLIGHT = 64;
/** Bytes of answers that a client has not read; it is not asked for more queries until it has. */
const MAX_UNREAD = 256 * 1024;
/** An answer with its length, and room for what is added to it. */
const FRAME_ROOM = ANSWER_ROOM + PADDING_BLOCK + 32;

// Shared by all connections of the thread: nothing in them outlives the call that filled them.
const out = new Uint8Array(FRAME_ROOM);
const lateOut = new Uint8Array(FRAME_ROOM);
const batch = Buffer.alloc(2 * FRAME_ROOM);

/** Connections with answers that came in this turn of the event loop; written out at its end. */
const waiting: (() => void)[] = [];

function writeSoon(write: () => void): void {
  if (waiting.push(write) > 1) return;
  setImmediate(() => {
    for (const each of waiting.splice(0)) each();
  });
}

export function serveStream(deps: {
  readonly socket: Socket;
  readonly seat: Seat;
  readonly handler: Pick<DnsHandler, 'handle' | 'asker'>;
  readonly transport: 'tcp' | 'dot';
  readonly clientId: string | null;
  readonly idleMs: number;
  readonly counts: StreamCounts;
}): void {
  const { socket, seat, handler, transport, clientId, idleMs, counts } = deps;
  let rest: Buffer | null = null;
  let inFlight = 0;
  let ended = false;
  let reading = false;
  /** frames of answers that came late, and their bytes */
  let late: Buffer[] = [];
  let lateBytes = 0;

  const isFull = (): boolean => inFlight >= MAX_IN_FLIGHT || socket.writableLength + lateBytes > MAX_UNREAD;

  /** The answer at the start of `bytes`, with what this transport adds. Returns its new length. */
  function complete(bytes: Uint8Array, length: number, keepAlive: boolean): number {
    const size = keepAlive ? addKeepAlive(bytes, length, idleMs) : length;
    return transport === 'dot' ? padAnswer(bytes, size) : size;
  }

  function answerLate(bytes: Uint8Array, keepAlive: boolean): void {
    inFlight--;
    if (socket.destroyed) return;
    lateOut.set(bytes);
    const size = complete(lateOut, bytes.length, keepAlive);
    const frame = Buffer.allocUnsafe(size + 2);
    frame.writeUInt16BE(size, 0);
    frame.set(lateOut.subarray(0, size), 2);
    counts.answers++;
    lateBytes += frame.length;
    if (late.push(frame) === 1) writeSoon(writeLate);
  }
  const plain = (bytes: Uint8Array): void => answerLate(bytes, false);
  const kept = (bytes: Uint8Array): void => answerLate(bytes, true);
  const laterPlain = (): typeof plain => plain;
  const laterKept = (): typeof kept => kept;

  function writeLate(): void {
    const frames = late;
    late = [];
    lateBytes = 0;
    if (socket.destroyed) return;
    socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
    goOn();
  }

  /** Takes the complete queries out of `from`, as far as the connection may have more of them under way. */
  function takeFrames(from: Buffer): number {
    let at = 0;
    let filled = 0;
    while (!socket.destroyed && !isFull() && from.length - at >= 2) {
      const size = from.readUInt16BE(at);
      // Too long for any query, or nothing that deserves an answer: what follows cannot be trusted to be DNS.
      if (size > MAX_QUERY || size < 12) return cut();
      if (from.length - at - 2 < size) break;
      const packet = from.subarray(at + 2, at + 2 + size);
      if (((packet[2] as number) & 0x80) !== 0) return cut();
      at += size + 2;
      counts.queries++;
      seat.active(idleMs);
      const keepAlive = wantsKeepAlive(packet, size);
      let waits = false;
      const length = handler.handle(
        packet,
        size,
        handler.asker(seat.client, clientId),
        transport,
        out,
        () => {
          waits = true;
          return keepAlive ? laterKept() : laterPlain();
        },
      );
      if (waits) inFlight++;
      if (length === 0) continue;
      const whole = complete(out, length, keepAlive);
      if (filled + whole + 2 > batch.length) {
        socket.write(Buffer.from(batch.subarray(0, filled)));
        filled = 0;
      }
      batch.writeUInt16BE(whole, filled);
      batch.set(out.subarray(0, whole), filled + 2);
      filled += whole + 2;
      counts.answers++;
    }
    if (filled > 0 && !socket.destroyed) socket.write(Buffer.from(batch.subarray(0, filled)));
    return at;
  }

  function cut(): number {
    socket.destroy();
    return 0;
  }

  /** After anything that changed: reads on, holds back or ends. */
  function goOn(): void {
    if (reading || socket.destroyed) return;
    reading = true;
    if (rest !== null) {
      const taken = takeFrames(rest);
      // An idle connection holds no memory of the last chunk that it read.
      rest = taken === rest.length ? null : rest.subarray(taken);
    }
    reading = false;
    if (socket.destroyed) return;
    if (isFull()) socket.pause();
    else if (!ended) socket.resume();
    // Half-closed by the client, which still waits for its answers; half a query at the end will never be whole.
    else if (inFlight === 0 && late.length === 0) socket.end();
  }

  socket.on('data', (chunk: Buffer) => {
    rest = rest === null ? chunk : Buffer.concat([rest, chunk]);
    goOn();
  });
  socket.on('drain', goOn);
  socket.on('end', () => {
    ended = true;
    goOn();
  });
  // It was paused while a forwarder's header was read.
  socket.resume();
}
