// One request on its way to an origin and its answer on the way back, streaming both ways. It reads and writes HTTP/1.1 by
// head.ts and body.ts; whether the request may go, and what a failure looks like, is handle.ts's.
//
// Why not a library: docs/decisions.md, "Forwarding", has the figures and what each gets wrong.

import type { Socket } from 'node:net';
import { createBodyReader } from './body.ts';
import type { BodyReader } from './body.ts';
import { dial } from './dial.ts';
import { isPersistent, isProblem, MAX_HEAD, parseResponseHead, responseFraming } from './head.ts';
import type { Field, Framing, RequestHead, ResponseHead } from './head.ts';
import { requestLines, responseLines, trailerLines } from './headers.ts';
import type { Origin, OriginPool, OriginUser } from './origin-pool.ts';
import { failure } from './reach.ts';
import type { Refusal } from './reach.ts';
import type { Target } from './target.ts';
import type { ProxyTimeouts } from './types.ts';

export type ForwardRequest = {
  readonly head: RequestHead;
  readonly target: Target;
  readonly framing: Framing;
  readonly addresses: readonly string[];
  readonly upgrade: boolean;
};

/** What the client's connection offers to a forward. */
export type ForwardHost = {
  readonly socket: Socket;
  /** the origin is there: the request's body may be fed */
  ready(): void;
  /** nothing has been answered yet: say why */
  failed(refusal: Refusal): void;
  /** the answer broke off midway, which the client must be able to see */
  broken(): void;
  /** the answer is complete; `keep` when the connection may serve another request */
  finished(keep: boolean): void;
  /** the origin switched to WebSocket: from here on both sockets are joined */
  upgraded(origin: Socket, rest: Buffer | null): void;
  /** whether the client's connection is meant to live on after this answer */
  mayKeep(): boolean;
};

export type Forward = {
  /** bytes of the request's body; how far they were its own, or -1 when they are no such body */
  feed(bytes: Buffer, start: number): number;
  /** the client's socket takes more */
  drained(): void;
  /** ends it without another word to the host */
  abort(): void;
  sweep(clock: number): void;
  readonly bodyDone: boolean;
  readonly answered: boolean;
  readonly bytesUp: number;
  readonly bytesDown: number;
};

const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');
const MAX_INTERIM = 16;
// may be sent twice when a kept connection turns out to be closed (RFC 9110 section 9.2.2)
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS']);

export function startForward(
  deps: { pool: OriginPool; timeouts: ProxyTimeouts; via: string; clock: () => number },
  request: ForwardRequest,
  host: ForwardHost,
): Forward {
  const { pool, timeouts, via } = deps;
  const { head, target, framing, upgrade } = request;
  const repeatable = REPEATABLE.has(head.method) && framing.kind === 'none' && !upgrade;
  const client = host.socket;
  let origin: Origin | null = null;
  let cancelDial: (() => void) | null = null;
  let over = false;
  let answered = false;
  let up = 0;
  let down = 0;
  let pending: Buffer | null = null;
  let interim = 0;
  let answer: BodyReader | null = null;
  let keepOrigin = false;
  let keepClient = false;
  let moved = -1;
  let movedAt = deps.clock();

  const bodyIn = createBodyReader(framing, {
    data(bytes) {
      up += bytes.length;
      if (!writeBody(origin!.socket, framing, bytes)) client.pause();
    },
    end(trailers) {
      if (framing.kind === 'chunked') writeEnd(origin!.socket, trailers);
    },
  });

  const release = (keep: boolean) => {
    over = true;
    cancelDial?.();
    cancelDial = null;
    if (origin === null) return;
    origin.user = null;
    if (keep) pool.release(origin, deps.clock());
    else origin.socket.destroy();
    origin = null;
  };
  const fail = (refusal: Refusal) => {
    release(false);
    if (answered) host.broken();
    else host.failed(refusal);
  };

  const use = (found: Origin) => {
    origin = found;
    found.user = user;
    movedAt = deps.clock();
    found.socket.write(requestLines(head, target, framing, { via, upgrade }), 'latin1');
    host.ready();
  };
  const connectAnew = () => {
    cancelDial = dial(request.addresses, target.port, timeouts.connect, (socket, address, fault) => {
      cancelDial = null;
      if (socket !== null) use(pool.adopt(socket, address, target.port));
      else if (fault?.kind === 'timeout') fail(failure(504, 'timeout', fault.detail));
      else fail(failure(502, 'unreachable', fault?.detail ?? 'no connection'));
    });
  };

  const originGone = () => {
    if (over) return;
    if (answer !== null && answer.finish()) return finish(false);
    if (origin!.reused && repeatable && !answered && pending === null && interim === 0) {
      // it was closing while we wrote; nothing has been done with the request
      origin!.user = null;
      origin!.socket.destroy();
      origin = null;
      connectAnew();
      return;
    }
    fail(failure(502, 'bad-answer', 'the site closed the connection before its answer was complete'));
  };

  const user: OriginUser = {
    onData(chunk: Buffer) {
      client.cork();
      if (answer !== null) takeBody(chunk);
      else takeHead(chunk);
      client.uncork();
    },
    onDrain: () => {
      client.resume();
    },
    onEnd: originGone,
    onClose: () => {
      // an answer that ends with the connection must end in order (FIN), not by a reset
      if (over) return;
      if (answer !== null) fail(failure(502, 'bad-answer', 'broken off'));
      else originGone();
    },
  };

  const badAnswer = (why: string) => fail(failure(502, 'bad-answer', why));

  function takeHead(chunk: Buffer): void {
    let bytes = pending === null ? chunk : Buffer.concat([pending, chunk]);
    while (!over && answer === null) {
      const end = bytes.indexOf(HEAD_END);
      if (end < 0 || end > MAX_HEAD) {
        pending = bytes;
        if (bytes.length > MAX_HEAD) badAnswer('the head of the answer is too large');
        return;
      }
      const parsed = parseResponseHead(bytes.toString('latin1', 0, end));
      bytes = bytes.subarray(end + HEAD_END.length);
      pending = null;
      if (isProblem(parsed)) return badAnswer(parsed.problem);
      if (parsed.status >= 200) beginAnswer(parsed);
      else if (parsed.status === 101) return switchOver(parsed, bytes);
      else if (++interim > MAX_INTERIM) return badAnswer('too many interim answers');
      else if (head.minor === 1)
        write(responseLines(parsed, { kind: 'none' }, { via, keep: true, upgrade: false }));
    }
    if (!over && answer !== null) takeBody(bytes);
  }

  function switchOver(parsed: ResponseHead, rest: Buffer): void {
    if (!upgrade) return badAnswer('the site switched protocols unasked');
    const socket = origin!.socket;
    write(responseLines(parsed, { kind: 'none' }, { via, keep: true, upgrade: true }));
    answered = true;
    over = true;
    origin!.user = null;
    origin = null;
    for (const event of ['data', 'drain', 'end', 'error', 'close']) socket.removeAllListeners(event);
    host.upgraded(socket, rest.length > 0 ? rest : null);
  }

  function beginAnswer(parsed: ResponseHead): void {
    const read = responseFraming(parsed, head.method);
    if (isProblem(read)) return badAnswer(read.problem);
    const open = read.kind === 'chunked' || read.kind === 'close';
    const out: Framing = !open ? read : head.minor === 1 ? { kind: 'chunked' } : { kind: 'close' };
    keepOrigin = isPersistent(parsed) && read.kind !== 'close';
    // an answer before the request's end means that the rest will not be read
    keepClient = host.mayKeep() && bodyIn.done && out.kind !== 'close';
    answered = true;
    write(responseLines(parsed, out, { via, keep: keepClient, upgrade: false }));
    answer = createBodyReader(read, {
      data(bytes) {
        down += bytes.length;
        if (!writeBody(client, out, bytes)) origin?.socket.pause();
      },
      end(trailers) {
        if (out.kind === 'chunked') writeEnd(client, trailers);
      },
    });
  }

  function takeBody(bytes: Buffer): void {
    const at = answer!.feed(bytes, 0);
    if (at < 0) badAnswer('the body of the answer is broken');
    // bytes after the end would be taken for the next client's answer
    else if (answer!.done) finish(at === bytes.length);
  }

  function finish(clean: boolean): void {
    release(clean && keepOrigin && bodyIn.done);
    host.finished(keepClient);
  }

  function write(text: string): void {
    down += text.length;
    client.write(text, 'latin1');
  }

  const spare = repeatable ? pool.take(request.addresses, target.port) : null;
  if (spare !== null) queueMicrotask(() => (over ? spare.socket.destroy() : use(spare)));
  else connectAnew();

  return {
    feed(bytes, start) {
      const socket = origin!.socket;
      socket.cork();
      const at = bodyIn.feed(bytes, start);
      socket.uncork();
      if (at < 0) release(false);
      return at;
    },
    drained() {
      origin?.socket.resume();
    },
    abort() {
      if (!over) release(false);
    },
    sweep(clock) {
      if (over || origin === null) return;
      const now = up + down - client.writableLength - origin.socket.writableLength;
      const limit = answered || !bodyIn.done ? timeouts.body : timeouts.response;
      if (now !== moved) {
        moved = now;
        movedAt = clock;
      } else if (clock - movedAt >= limit) fail(failure(504, 'timeout', 'the site stopped answering'));
    },
    get bodyDone() {
      return bodyIn.done;
    },
    get answered() {
      return answered;
    },
    get bytesUp() {
      return up;
    },
    get bytesDown() {
      return down;
    },
  };
}

function writeBody(socket: Socket, framing: Framing, bytes: Uint8Array): boolean {
  if (framing.kind !== 'chunked') return socket.write(bytes);
  socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1');
  socket.write(bytes);
  return socket.write(CRLF);
}

function writeEnd(socket: Socket, trailers: readonly Field[]): void {
  socket.write(`0\r\n${trailerLines(trailers)}\r\n`, 'latin1');
}
