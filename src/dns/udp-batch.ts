// DNS over UDP on one address by batched system calls: many queries are read by one call, answered where they lie, and their
// answers sent by one call. What it offers is what udp-dgram.ts offers.

import type { Libc } from '../udp/libc.ts';
import type { Turn } from '../udp/turn.ts';
import type { DnsServer, DnsServerOptions } from './types.ts';
import { BATCH, createReceiver, createSender } from '../udp/batch.ts';
import type { Receiver } from '../udp/batch.ts';
import { createAddressTexts } from '../udp/names.ts';
import { isWildcard, openBoundSocket, portOf, systemQueue } from '../udp/sockets.ts';
import { watch } from '../udp/watch.ts';
import { DATAGRAM_ROOM } from './types.ts';

const SOCKET_BUFFER = 4 << 20;
/** Batches read before timers, ports and other sockets have their turn. */
const BATCHES_A_TURN = 6;
/** Errors told to the log; the rest are counted. */
const TOLD_ERRORS = 3;

export type DnsUdpBatchOptions = DnsServerOptions & {
  readonly libc: Libc;
  readonly turn: Turn;
  /** a bound socket that belongs to the caller; it is left open. Otherwise one is opened here. */
  readonly fd?: number;
};

/** Throws the system's error when the address cannot be had. */
export function openDnsUdpBatch(options: DnsUdpBatchOptions): DnsServer {
  const { address, handler, libc, turn } = options;
  const { reusePort = false } = options;
  const own = options.fd === undefined;
  const fd =
    options.fd ??
    openBoundSocket(libc, { address, port: options.port, reusePort, bufferBytes: SOCKET_BUFFER });
  const from = isWildcard(address) ? 'wildcard' : 'anyone';
  const receiver: Receiver = createReceiver(libc, DATAGRAM_ROOM, from);
  const answers = createSender(libc, DATAGRAM_ROOM, from);
  const late = createSender(libc, DATAGRAM_ROOM, from);
  const counts = { received: 0, unanswerable: 0, cut: 0, errors: 0, batches: 0 };
  const textOf = createAddressTexts();
  let current = 0;
  let lateSet = false;
  let told = 0;
  let open = true;

  /** For the packet at hand: its sender is kept until the answer is there. */
  function later(): (answer: Uint8Array) => void {
    const envelope = receiver.envelope(current);
    return (answer) => {
      if (!open) return;
      if (answer.length > DATAGRAM_ROOM) {
        counts.errors++;
        return;
      }
      if (late.queued() === BATCH) late.flush(fd);
      late.slot().set(answer);
      late.replyTo(answer.length, envelope);
      if (lateSet) return;
      lateSet = true;
      turn.soon(flushLate);
    };
  }

  function flushLate(): void {
    lateSet = false;
    if (open) late.flush(fd);
    else late.clear();
  }

  function answer(i: number): void {
    counts.received++;
    // Anyone can write port 0 into a packet; nobody can be answered there.
    if (receiver.port(i) === 0) {
      counts.unanswerable++;
      return;
    }
    // No query is that long; what is left of it would be answered as another one.
    if (receiver.cut(i)) {
      counts.cut++;
      return;
    }
    current = i;
    const v4 = receiver.v4(i);
    const asker = v4 >= 0 ? handler.asker4(v4) : handler.asker(receiver.v6(i, textOf));
    const size = handler.handle(receiver.slots[i]!, receiver.length(i), asker, 'udp', answers.slot(), later);
    if (size > 0) answers.reply(size, receiver, i);
  }

  function onReadable(): boolean {
    let any = false;
    for (let batch = 0; batch < BATCHES_A_TURN; batch++) {
      const count = receiver.receive(fd);
      if (count === 0) break;
      any = true;
      if (count < 0) {
        fault(new Error(`receiving failed with error ${-count}`));
        break;
      }
      counts.batches++;
      for (let i = 0; i < count; i++) {
        try {
          answer(i);
        } catch (error) {
          fault(error);
        }
      }
      answers.flush(fd);
      // Queries that go on to an upstream, and answers that came meanwhile.
      turn.end();
      if (count < BATCH || !open) break;
    }
    return any;
  }

  function fault(error: unknown): void {
    counts.errors++;
    if (++told <= TOLD_ERRORS)
      options.log?.('warn', 'DNS over UDP', { address, err: (error as Error).message });
  }

  const watched = watch({ libc, fd, onReadable, onError: fault });
  return {
    port: portOf(libc, fd),
    stats() {
      const { received, batches, unanswerable, cut } = counts;
      const system = open ? systemQueue(libc, fd) : { waiting: 0, dropped: 0 };
      return {
        received,
        sent: answers.counts.sent + late.counts.sent,
        unanswerable,
        cut,
        dropped: answers.counts.dropped + late.counts.dropped,
        errors: counts.errors + answers.counts.errors + late.counts.errors,
        batches,
        perBatch: batches === 0 ? 0 : Math.round((received / batches) * 100) / 100,
        queuedBytes: system.waiting,
        overflowed: system.dropped,
      };
    },
    async close() {
      if (!open) return;
      open = false;
      watched.close();
      if (own) libc.close(fd);
    },
  };
}
