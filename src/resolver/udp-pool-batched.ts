// A pool of UDP sockets towards one upstream like udp-pool.ts, with batched system calls: all that is asked while a batch of
// clients' packets is worked through goes out by one call, and answers come by one. The socket, and with it the source port, is
// drawn anew for each such batch; the id for each query.

import type { Libc } from '../udp/libc.ts';
import type { Turn } from '../udp/turn.ts';
import type { Watch } from '../udp/watch.ts';
import type { Flight, UdpPool, UdpPoolDeps } from './udp-pool.ts';
import { BATCH, createReceiver, createSender } from '../udp/batch.ts';
import { systemError } from '../udp/libc.ts';
import { openConnectedSocket } from '../udp/sockets.ts';
import { watch } from '../udp/watch.ts';
import { upstreamText } from './upstreams.ts';

export type BatchedPoolsDeps = {
  readonly libc: Libc;
  readonly turn: Turn;
};

type Slot<T> = {
  readonly fd: number;
  /** owns the descriptor */
  watched: Watch | null;
  readonly flights: Map<number, Waiting<T>>;
  left: number;
  /** takes no new queries; closed with its last flight */
  retired: boolean;
  closed: boolean;
};

type Waiting<T> = Flight & { readonly token: T };

const SOCKET_BUFFER = 1 << 20;
const QUERY_ROOM = 2048;
/** Longer answers are taken as cut off, as the server should have sent them. */
const ANSWER_ROOM = 4096;
const TRUNCATED = 2;
const OWN_SHORTAGE = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** Makes pools that share one place for answers; one for each thread. */
export function createBatchedPools(shared: BatchedPoolsDeps): <T>(deps: UdpPoolDeps<T>) => UdpPool<T> {
  const { libc, turn } = shared;
  const receiver = createReceiver(libc, ANSWER_ROOM, 'connected');

  return function createPool<T>(deps: UdpPoolDeps<T>): UdpPool<T> {
    const { upstream, randomId } = deps;
    const family = upstream.address.includes(':') ? 6 : 4;
    const slots: (Slot<T> | undefined)[] = new Array<Slot<T> | undefined>(deps.sockets).fill(undefined);
    const all = new Set<Slot<T>>();
    const sender = createSender(libc, QUERY_ROOM, 'connected');
    /** the socket that what is queued goes to */
    let current: Slot<T> | null = null;
    let place = 0;
    let set = false;
    let closed = false;

    function open(): Slot<T> {
      const fd = openConnectedSocket(libc, upstream, SOCKET_BUFFER);
      const slot: Slot<T> = {
        fd,
        watched: null,
        flights: new Map(),
        left: deps.uses,
        retired: false,
        closed: false,
      };
      try {
        slot.watched = watch({
          fd,
          family,
          background: true,
          onPacket: (packet) => read(slot, packet),
          onError: (error) => fail(slot, error),
        });
      } catch (error) {
        libc.close(fd);
        throw error;
      }
      all.add(slot);
      return slot;
    }

    /** One answer that Node has read, and all that came with it. */
    function read(slot: Slot<T>, first: Uint8Array): void {
      take(slot, first, first.length);
      if (slot.closed) return;
      const count = receiver.receive(slot.fd);
      for (let i = 0; i < count && !slot.closed; i++) {
        const bytes = receiver.slots[i]!;
        const length = receiver.length(i);
        if (receiver.cut(i)) bytes[2]! |= TRUNCATED;
        take(slot, length === bytes.length ? bytes : bytes.subarray(0, length), length);
      }
      turn.end();
      if (count < 0) fail(slot, systemError('recvmmsg', -count, upstreamText(upstream)));
    }

    function take(slot: Slot<T>, answer: Uint8Array, length: number): void {
      if (length < 12) return;
      const waiting = slot.flights.get((answer[0]! << 8) | answer[1]!);
      if (waiting !== undefined && deps.onAnswer(answer, waiting.token)) waiting.cancel();
    }

    /** Gives the socket up and tells everyone who waited on it. */
    function fail(slot: Slot<T>, error: Error): void {
      if (slot.closed) return;
      const waiting = [...slot.flights.values()];
      slot.flights.clear();
      discard(slot);
      for (const { token } of waiting) deps.onUnreachable(token, error);
    }

    function discard(slot: Slot<T>): void {
      if (slot.closed) return;
      slot.closed = true;
      all.delete(slot);
      const at = slots.indexOf(slot);
      if (at >= 0) slots[at] = undefined;
      if (current === slot) {
        sender.clear();
        current = null;
      }
      slot.watched?.close();
    }

    /** A socket for the next batch, or null when none can be opened; no way there is told to whoever asks. */
    function draw(token: T): Slot<T> | null {
      place = randomId() % deps.sockets;
      const known = slots[place];
      if (known !== undefined) return known;
      try {
        return (slots[place] = open());
      } catch (error) {
        // Out of descriptors says nothing of the upstream: the exchange goes on to its next attempt.
        if (!OWN_SHORTAGE.has((error as NodeJS.ErrnoException).code ?? ''))
          deps.onUnreachable(token, error as Error);
        return null;
      }
    }

    function flush(): void {
      const slot = current;
      if (slot === null) return;
      current = null;
      const error = sender.flush(slot.fd);
      if (error !== 0) fail(slot, systemError('sendmmsg', error, upstreamText(upstream)));
    }

    function flushInTurn(): void {
      set = false;
      flush();
    }

    return {
      send(packet, token) {
        if (closed || packet.length > QUERY_ROOM) return null;
        current ??= draw(token);
        const slot = current;
        if (slot === null) return null;
        const { flights } = slot;
        let id = randomId();
        for (let tries = 0; flights.has(id); tries++) {
          if (tries === 16) return null;
          id = randomId();
        }
        packet[0] = id >>> 8;
        packet[1] = id & 0xff;
        sender.slot().set(packet);
        sender.push(packet.length);
        const waiting: Waiting<T> = {
          token,
          cancel() {
            if (flights.get(id) !== waiting) return;
            flights.delete(id);
            if (slot.retired && flights.size === 0) discard(slot);
          },
        };
        flights.set(id, waiting);
        if (--slot.left === 0) {
          slot.retired = true;
          slots[place] = undefined;
          flush();
        } else if (sender.queued() === BATCH) flush();
        else if (!set) {
          set = true;
          turn.soon(flushInTurn);
        }
        return waiting;
      },
      close() {
        closed = true;
        for (const slot of all) discard(slot);
      },
    };
  };
}
