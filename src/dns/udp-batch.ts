// DNS over UDP on one address by batched system calls: many queries are read by one call, answered where they lie, and their
// answers sent by one call. What it offers is what udp-dgram.ts offers. The first packet after a silence is read by Node's own
// socket, which is how we hear of it.

import { systemError } from '../udp/libc.ts';
import type { Libc } from '../udp/libc.ts';
import type { Turn } from '../udp/turn.ts';
import type { RemoteInfo } from 'node:dgram';
import { isIP } from 'node:net';
import type { DnsServer, DnsServerOptions } from './types.ts';
import { BATCH, addressed, createReceiver, createSender } from '../udp/batch.ts';
import type { Envelope } from '../udp/batch.ts';
import { createAddressTexts, writeName } from '../udp/names.ts';
import { duplicate, openBoundSocket, portOf, systemQueue } from '../udp/sockets.ts';
import { watch } from '../udp/watch.ts';
import { plainAddress } from './plain-address.ts';
import { DATAGRAM_ROOM } from './types.ts';

const SOCKET_BUFFER = 4 << 20;
/** Senders whose address is remembered as the system writes it. */
const KNOWN_SENDERS = 1024;
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
  const receiver = createReceiver(libc, DATAGRAM_ROOM, 'anyone');
  const answers = createSender(libc, DATAGRAM_ROOM, 'anyone');
  const late = createSender(libc, DATAGRAM_ROOM, 'anyone');
  const senders = new Map<string, Envelope>();
  const counts = { received: 0, unanswerable: 0, cut: 0, errors: 0, batches: 0 };
  const textOf = createAddressTexts();
  /** which packet of the batch is at hand; -1 for one that Node has read, from `first` */
  let current = -1;
  let first: RemoteInfo | null = null;
  let lateSet = false;
  let told = 0;
  let open = true;

  /** For the packet at hand: its sender is kept until the answer is there. */
  function later(): (answer: Uint8Array) => void {
    const envelope = current < 0 ? envelopeTo(first!) : receiver.envelope(current);
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

  function envelopeTo({ address: to, port }: RemoteInfo): Envelope {
    let known = senders.get(to);
    if (known === undefined) {
      if (senders.size === KNOWN_SENDERS) senders.clear();
      senders.set(to, (known = addressed(writeName(to, 0))));
    }
    const envelope = known.slice();
    envelope[1]! |= ((port & 0xff) << 24) | ((port & 0xff00) << 8);
    return envelope;
  }

  function turnAway(port: number, cut: boolean): boolean {
    counts.received++;
    // Anyone can write port 0 into a packet; nobody can be answered there.
    if (port === 0) counts.unanswerable++;
    // No query is that long; what is left of it would be answered as another one.
    else if (cut) counts.cut++;
    else return false;
    return true;
  }

  function answerFirst(packet: Uint8Array, from: RemoteInfo): void {
    if (turnAway(from.port, packet.length > DATAGRAM_ROOM)) return;
    current = -1;
    first = from;
    const asker = handler.asker(plainAddress(from.address));
    const size = handler.handle(packet, packet.length, asker, 'udp', answers.slot(), later);
    if (size > 0) answers.replyTo(size, envelopeTo(from));
  }

  function answer(i: number): void {
    if (turnAway(receiver.port(i), receiver.cut(i))) return;
    if (answers.queued() === BATCH) answers.flush(fd);
    current = i;
    const v4 = receiver.v4(i);
    const asker = v4 >= 0 ? handler.asker4(v4) : handler.asker(receiver.v6(i, textOf));
    const size = handler.handle(receiver.slots[i]!, receiver.length(i), asker, 'udp', answers.slot(), later);
    if (size > 0) answers.reply(size, receiver, i);
  }

  function onPacket(packet: Uint8Array, from: RemoteInfo): void {
    counts.batches++;
    try {
      answerFirst(packet, from);
    } catch (error) {
      fault(error);
    }
    const count = receiver.receive(fd);
    if (count < 0) fault(systemError('recvmmsg', -count, address));
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
  }

  function fault(error: unknown): void {
    counts.errors++;
    if (++told <= TOLD_ERRORS)
      options.log?.('warn', 'DNS over UDP', { address, err: (error as Error).message });
  }

  const family = isIP(address) === 6 ? 6 : 4;
  const watched = watch({ fd: duplicate(libc, fd), family, background: false, onPacket, onError: fault });
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
