// A pool of UDP sockets towards one upstream: random source ports, each given up after so many queries; random ids;
// an answer is handed on only when it came from the upstream and bears an id that is waited for. Retries and
// what an answer must say are the exchange's business.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Upstream } from './types.ts';

/** A query in flight: `cancel` forgets it, so that a late answer is dropped. */
export type Flight = { cancel(): void };

export type UdpPool<T> = {
  /**
   * Sends a packet whose first two bytes the pool overwrites with a random id; it may be used again as soon as this returns.
   * `token` comes back with the answer. Null when every id tried was taken, no socket could be opened, or the packet is
   * longer than any query.
   */
  send(packet: Uint8Array, token: T): Flight | null;
  close(): void;
};

export type UdpPoolDeps<T> = {
  readonly upstream: Upstream;
  /** sockets held open */
  readonly sockets: number;
  /** queries before a socket is replaced by one with another source port */
  readonly uses: number;
  readonly randomId: () => number;
  /** true when the answer was accepted; otherwise the query goes on waiting for the true one. Its bytes are good for the call only. */
  readonly onAnswer: (answer: Uint8Array, token: T) => boolean;
  /** the upstream's machine said that nobody listens there, or there is no way to it */
  readonly onUnreachable: (token: T, error: Error) => void;
};

type Slot<T> = {
  readonly socket: Socket;
  readonly flights: Map<number, T>;
  queue: Uint8Array[] | null;
  left: number;
  closed: boolean;
  /** why it was given up while it was opened */
  failure: Error | null;
};

/** The widest gap in which an answer may still come for a socket that takes no new queries. */
const LINGER_CHECK_MS = 1000;

/** A pool towards one upstream; sockets are opened when first needed. */
export function createUdpPool<T>(deps: UdpPoolDeps<T>): UdpPool<T> {
  const { upstream, randomId } = deps;
  const slots: (Slot<T> | undefined)[] = new Array<Slot<T> | undefined>(deps.sockets).fill(undefined);
  const retired = new Set<Slot<T>>();
  let closed = false;
  let sweep: NodeJS.Timeout | null = null;

  function open(): Slot<T> {
    const type = isIP(upstream.address) === 6 ? 'udp6' : 'udp4';
    // The address is never a name: answering the look-up at once saves a trip through the event loop for each datagram.
    const lookup = ((host: string, ...rest: unknown[]) => {
      const done = rest[rest.length - 1] as (error: null, address: string, family: number) => void;
      done(null, host, type === 'udp6' ? 6 : 4);
    }) as unknown as NonNullable<Parameters<typeof createSocket>[0] & object>['lookup'];
    const socket = createSocket({ type, lookup, recvBufferSize: 1 << 20 });
    const slot: Slot<T> = {
      socket,
      flights: new Map(),
      queue: [],
      left: deps.uses,
      closed: false,
      failure: null,
    };
    socket.on('message', (answer, from) => {
      if (answer.length < 12 || from.port !== upstream.port || !sameHost(from.address)) return;
      const id = ((answer[0] as number) << 8) | (answer[1] as number);
      const token = slot.flights.get(id);
      if (token !== undefined && deps.onAnswer(answer, token)) slot.flights.delete(id);
    });
    socket.on('connect', () => {
      const queue = slot.queue ?? [];
      slot.queue = null;
      for (const packet of queue) transmit(slot, packet);
    });
    socket.on('error', (error) => fail(slot, error));
    socket.connect(upstream.port, upstream.address);
    socket.unref();
    return slot;
  }

  function sameHost(address: string): boolean {
    return address === upstream.address || address.split('%', 1)[0] === upstream.address.split('%', 1)[0];
  }

  function transmit(slot: Slot<T>, packet: Uint8Array): void {
    try {
      slot.socket.send(packet);
    } catch (error) {
      fail(slot, error as Error);
    }
  }

  /** Gives the socket up and tells everyone who waited on it. */
  function fail(slot: Slot<T>, error: Error): void {
    if (slot.closed) return;
    slot.failure = error;
    discard(slot);
    const tokens = [...slot.flights.values()];
    slot.flights.clear();
    for (const token of tokens) deps.onUnreachable(token, error);
  }

  function discard(slot: Slot<T>): void {
    if (slot.closed) return;
    slot.closed = true;
    retired.delete(slot);
    const place = slots.indexOf(slot);
    if (place >= 0) slots[place] = undefined;
    try {
      slot.socket.close();
    } catch {
      // Already closed by the system: there is nothing left to release.
    }
  }

  /** A socket that has done its share waits for its last answers and is then closed. */
  function retire(slot: Slot<T>, place: number): void {
    slots[place] = undefined;
    retired.add(slot);
    sweep ??= setInterval(() => {
      for (const old of [...retired]) if (old.flights.size === 0) discard(old);
      if (retired.size === 0 && sweep !== null) {
        clearInterval(sweep);
        sweep = null;
      }
    }, LINGER_CHECK_MS).unref();
  }

  return {
    send(packet, token) {
      if (closed) return null;
      const place = randomId() % deps.sockets;
      let slot = slots[place];
      if (slot === undefined) {
        try {
          slot = open();
        } catch {
          return null; // out of file descriptors: the exchange goes on to its next attempt
        }
        // A failure while it was opened has already put it out of use.
        if (slot.closed) {
          if (slot.failure !== null) deps.onUnreachable(token, slot.failure);
          return null;
        }
        slots[place] = slot;
      }
      let id = randomId();
      for (let tries = 0; slot.flights.has(id); tries++) {
        if (tries === 16) return null;
        id = randomId();
      }
      packet[0] = id >>> 8;
      packet[1] = id & 0xff;
      slot.flights.set(id, token);
      if (--slot.left === 0) retire(slot, place);
      const flights = slot.flights;
      // The system may take it later than this returns.
      const copy = new Uint8Array(packet);
      if (slot.queue !== null) slot.queue.push(copy);
      else transmit(slot, copy);
      return { cancel: () => void (flights.get(id) === token && flights.delete(id)) };
    },
    close() {
      closed = true;
      if (sweep !== null) clearInterval(sweep);
      sweep = null;
      for (const slot of [...slots, ...retired]) if (slot !== undefined) discard(slot);
    },
  };
}
