// One query over TCP with the two length bytes of RFC 1035, section 4.2.2: connect, ask, read one answer, close.

import { connect } from 'node:net';
import type { Upstream } from './types.ts';

/**
 * Sends `packet` as it is and calls back once, with the whole answer or with an Error. `cancel` ends it silently and
 * says whether there was anything left to end.
 * The answer is at most 65,535 bytes; whether it fits the question is for the caller to check.
 */
export function tcpQuery(
  upstream: Upstream,
  packet: Uint8Array,
  timeoutMs: number,
  done: (error: Error | null, answer: Uint8Array | null) => void,
): { cancel(): boolean } {
  let over = false;
  const chunks: Buffer[] = [];
  let got = 0;
  const socket = connect({ host: upstream.address, port: upstream.port, noDelay: true });
  const timer = setTimeout(() => finish(new Error('no answer by TCP in time'), null), timeoutMs);

  function finish(error: Error | null, answer: Uint8Array | null): void {
    if (over) return;
    over = true;
    clearTimeout(timer);
    socket.destroy();
    done(error, answer);
  }

  socket.on('connect', () => {
    const frame = Buffer.allocUnsafe(packet.length + 2);
    frame.writeUInt16BE(packet.length, 0);
    frame.set(packet, 2);
    socket.write(frame);
  });
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    got += chunk.length;
    if (got < 2) return;
    const first = chunks[0] as Buffer;
    const head = first.length >= 2 ? first : Buffer.concat(chunks);
    const size = head.readUInt16BE(0);
    if (got >= size + 2) finish(null, Buffer.concat(chunks, size + 2).subarray(2));
  });
  socket.on('error', (error) => finish(error, null));
  socket.on('close', () => finish(new Error('closed before the answer was complete'), null));
  return {
    cancel() {
      if (over) return false;
      over = true;
      clearTimeout(timer);
      socket.destroy();
      return true;
    },
  };
}
