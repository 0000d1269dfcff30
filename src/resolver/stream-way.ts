// Queries over a kept connection, plain or TLS: many at once, answered in any order (RFC 7766, 7858). Opened when needed, closed
// when idle, opened anew once when the server closed it under a question. What an answer must say is the exchange's business.

import type { Socket } from 'node:net';
import type { Way } from './asking.ts';
import { paddedCopy } from './edns.ts';
import { createFrameReader } from './frames.ts';
import { questionEnd } from './questions.ts';
import type { Flight } from './udp-pool.ts';

export type StreamWayDeps<T> = {
  /** begins a connection; `ready` is to be called when it may be written to */
  readonly connect: (ready: () => void) => Socket;
  readonly idleMs: number;
  /** queries are padded to whole blocks of so many bytes; 0 for not at all */
  readonly padding: number;
  readonly randomId: () => number;
  /** true when the answer was accepted; otherwise the connection is not to be trusted any longer */
  readonly onAnswer: (answer: Uint8Array, token: T) => boolean;
  readonly onUnreachable: (token: T, error: Error) => void;
};

type Query<T> = {
  /** null when nobody waits any more; the id stays taken until the answer comes */
  token: T | null;
  /** where it was sent last */
  on: Connection<T> | null;
  readonly frame: Buffer;
  /** it may be sent once more when the connection ends before its answer */
  again: boolean;
};

type Connection<T> = {
  readonly socket: Socket;
  readonly queries: Map<number, Query<T>>;
  /** frames that wait to be written together */
  pending: Buffer[];
  ready: boolean;
  /** messages that came */
  answers: number;
  waiting: number;
  /** since when there has been a question and no answer to any, by the monotonic clock */
  silentSince: number;
  over: boolean;
};

const MAX_QUERIES = 8192;
/** A connection that is silent for so long while others wait on it is given up: a fresh one may do better. */
const STALLED_MS = 2500;
const HEADER = 12;

export function createStreamWay<T>(deps: StreamWayDeps<T>): Way<T> {
  let current: Connection<T> | null = null;
  let closed = false;

  function open(): Connection<T> {
    const connection: Connection<T> = {
      socket: deps.connect(() => {
        connection.ready = true;
        flush(connection);
      }),
      queries: new Map(),
      pending: [],
      ready: false,
      answers: 0,
      waiting: 0,
      silentSince: 0,
      over: false,
    };
    const { socket } = connection;
    socket.unref();
    socket.setTimeout(deps.idleMs, () => {
      // Whoever still waits has a deadline of its own, and looks for a stalled connection when it sends.
      if (connection.waiting === 0) end(connection, new Error('idle'));
    });
    const read = createFrameReader((message) => take(connection, message));
    socket.on('data', (chunk: Buffer) => {
      if (!connection.over) read(chunk);
    });
    socket.on('error', (error) => end(connection, error));
    socket.on('end', () => end(connection, new Error('closed by the upstream')));
    socket.on('close', () => end(connection, new Error('closed before the answer came')));
    return connection;
  }

  function take(connection: Connection<T>, message: Uint8Array): void {
    if (connection.over) return;
    if (message.length < HEADER) return end(connection, new Error('the upstream sent no DNS message'));
    const id = ((message[0] as number) << 8) | (message[1] as number);
    const query = connection.queries.get(id);
    if (query === undefined) return end(connection, new Error('the upstream answered what was not asked'));
    connection.answers++;
    connection.silentSince = performance.now();
    const { token } = query;
    if (token !== null) {
      // The token goes before the answer is handed on: then whoever takes it may do as it likes.
      query.token = null;
      connection.waiting--;
      if (!deps.onAnswer(message, token)) {
        connection.queries.delete(id);
        end(connection, new Error('the upstream answered another question'));
        deps.onUnreachable(token, new Error('the upstream answered another question'));
        return;
      }
    }
    connection.queries.delete(id);
  }

  /** Gives the connection up; what was not answered is asked once more if the connection had been good. */
  function end(connection: Connection<T>, error: Error): void {
    if (connection.over) return;
    connection.over = true;
    if (current === connection) current = null;
    connection.socket.destroy();
    const left = [...connection.queries.values()];
    connection.queries.clear();
    for (const query of left) {
      const { token } = query;
      if (token === null) continue;
      if (!closed && query.again && connection.answers > 0) {
        query.again = false;
        if (put(query)) continue;
      }
      query.token = null;
      deps.onUnreachable(token, error);
    }
  }

  /** Puts a query on the connection in use, under a free id. */
  function put(query: Query<T>): boolean {
    if (current !== null && current.waiting > 0 && performance.now() - current.silentSince > STALLED_MS) {
      end(current, new Error('the upstream stays silent'));
    }
    let connection = current;
    if (connection === null) {
      try {
        connection = current = open();
      } catch {
        return false; // out of file descriptors: the exchange goes on to its next attempt
      }
    }
    if (connection.over || connection.queries.size >= MAX_QUERIES) return false;
    let id = deps.randomId();
    while (connection.queries.has(id)) id = (id + 1) & 0xffff;
    query.frame.writeUInt16BE(id, 2);
    connection.queries.set(id, query);
    query.on = connection;
    if (connection.waiting++ === 0) connection.silentSince = performance.now();
    if (connection.pending.push(query.frame) === 1 && connection.ready) {
      const to = connection;
      queueMicrotask(() => flush(to));
    }
    return true;
  }

  /** All that was asked in one turn goes in one write. */
  function flush(connection: Connection<T>): void {
    const { pending } = connection;
    if (connection.over || pending.length === 0) return;
    connection.pending = [];
    connection.socket.write(pending.length === 1 ? (pending[0] as Buffer) : Buffer.concat(pending));
  }

  function cancel(query: Query<T>): void {
    if (query.token === null) return;
    query.token = null;
    if (query.on !== null) query.on.waiting--;
  }

  return {
    send(packet, token): Flight | null {
      if (closed) return null;
      const query: Query<T> = { token, on: null, frame: toFrame(packet, deps.padding), again: true };
      return put(query) ? { cancel: () => cancel(query) } : null;
    },
    close() {
      closed = true;
      if (current !== null) end(current, new Error('closed'));
    },
  };
}

/** The message with its length before it; an OPT at its end gets padding. */
function toFrame(packet: Uint8Array, padding: number): Buffer {
  const message = paddedCopy(packet, questionEnd(packet), padding);
  const frame = Buffer.allocUnsafe(message.length + 2);
  frame.writeUInt16BE(message.length, 0);
  frame.set(message, 2);
  return frame;
}
