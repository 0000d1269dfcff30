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
import { bindsConnection, requestLines, responseLines, trailerLines } from './headers.ts';
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

const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');
const NO_BODY: Framing = { kind: 'none' };
const MAX_INTERIM = 16;
// may be sent twice when a kept connection turns out to be closed (RFC 9110 section 9.2.2)
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS']);

export type ForwardDeps = {
  readonly pool: OriginPool;
  readonly timeouts: ProxyTimeouts;
  readonly via: string;
  readonly clock: () => number;
};

/**
 * One exchange with an origin. A class because it is made for every request: as closures its methods cost a quarter of
 * the memory and time that a request takes.
 */
export class Forward implements OriginUser {
  answered = false;
  /** bytes of the request's body and of the answer that have passed */
  bytesUp = 0;
  bytesDown = 0;
  readonly #deps: ForwardDeps;
  readonly #request: ForwardRequest;
  readonly #host: ForwardHost;
  readonly #body: BodyReader;
  readonly #repeatable: boolean;
  #origin: Origin | null = null;
  #cancelDial: (() => void) | null = null;
  #over = false;
  #pending: Buffer | null = null;
  #interim = 0;
  #answer: BodyReader | null = null;
  #keepOrigin = false;
  /** the origin may take this connection for one user's from now on: it serves nobody else */
  #bound = false;
  #keepClient = false;
  #moved = -1;
  #movedAt: number;

  constructor(deps: ForwardDeps, request: ForwardRequest, host: ForwardHost) {
    this.#deps = deps;
    this.#request = request;
    this.#host = host;
    this.#movedAt = deps.clock();
    const { head, framing, upgrade } = request;
    this.#repeatable = framing.kind === 'none' && !upgrade && REPEATABLE.has(head.method);
    this.#body = createBodyReader(framing, {
      data: (bytes) => {
        this.bytesUp += bytes.length;
        if (!writeBody(this.#origin!.socket, framing, bytes)) host.socket.pause();
      },
      end: (trailers) => {
        if (framing.kind === 'chunked') writeEnd(this.#origin!.socket, trailers);
      },
    });
  }

  /** Finds a connection; the host hears `ready` or `failed` later, never before this returns. */
  start(): void {
    const { addresses, target } = this.#request;
    const spare = this.#repeatable ? this.#deps.pool.take(addresses, target.port) : null;
    if (spare === null) return this.#connect();
    queueMicrotask(() => {
      if (this.#over) spare.socket.destroy();
      else this.#use(spare);
    });
  }

  get bodyDone(): boolean {
    return this.#body.done;
  }

  /** Bytes of the request's body; how far they were its own, or -1 when they are no such body. */
  feed(bytes: Buffer, start: number): number {
    if (this.#body.done) return start;
    const { socket } = this.#origin!;
    socket.cork();
    const at = this.#body.feed(bytes, start);
    socket.uncork();
    if (at < 0) this.#release(false);
    return at;
  }

  /** The client's socket takes more. */
  drained(): void {
    this.#origin?.socket.resume();
  }

  /** Ends it without another word to the host. */
  abort(): void {
    if (!this.#over) this.#release(false);
  }

  sweep(clock: number): void {
    if (this.#over || this.#origin === null) return;
    const { timeouts } = this.#deps;
    // what waits in a write buffer has not moved
    const unsent = this.#host.socket.writableLength + this.#origin.socket.writableLength;
    const now = this.bytesUp + this.bytesDown - unsent;
    const limit = this.answered || !this.#body.done ? timeouts.body : timeouts.response;
    if (now !== this.#moved) {
      this.#moved = now;
      this.#movedAt = clock;
    } else if (clock - this.#movedAt >= limit)
      this.#fail(failure(504, 'timeout', 'the site stopped answering'));
  }

  onData(chunk: Buffer): void {
    const client = this.#host.socket;
    client.cork();
    if (this.#answer !== null) this.#takeBody(chunk);
    else this.#takeHead(chunk);
    client.uncork();
  }

  onDrain(): void {
    this.#host.socket.resume();
  }

  onEnd(): void {
    if (this.#over) return;
    if (this.#answer !== null && this.#answer.finish()) return this.#finish(false);
    if (
      this.#origin!.reused &&
      this.#repeatable &&
      !this.answered &&
      this.#pending === null &&
      this.#interim === 0
    ) {
      // it was closing while we wrote; nothing has been done with the request
      this.#origin!.user = null;
      this.#origin!.socket.destroy();
      this.#origin = null;
      return this.#connect();
    }
    this.#fail(failure(502, 'bad-answer', 'the site closed the connection before its answer was complete'));
  }

  onClose(): void {
    if (this.#over) return;
    // an answer that ends with the connection must end in order (FIN), not by a reset
    if (this.#answer !== null) this.#badAnswer('broken off');
    else this.onEnd();
  }

  #connect(): void {
    const { addresses, target } = this.#request;
    const { pool, timeouts } = this.#deps;
    this.#cancelDial = dial(addresses, target.port, timeouts.connect, (socket, address, fault) => {
      this.#cancelDial = null;
      if (socket !== null) this.#use(pool.adopt(socket, address, target.port));
      else if (fault?.kind === 'timeout') this.#fail(failure(504, 'timeout', fault.detail));
      else this.#fail(failure(502, 'unreachable', fault?.detail ?? 'no connection'));
    });
  }

  #use(origin: Origin): void {
    const { head, target, framing, upgrade } = this.#request;
    const { via, clock } = this.#deps;
    this.#origin = origin;
    origin.user = this;
    this.#movedAt = clock();
    if (bindsConnection(head)) this.#bound = true;
    origin.socket.write(requestLines(head, target, framing, { via, upgrade }), 'latin1');
    this.#host.ready();
  }

  #release(keep: boolean): void {
    this.#over = true;
    this.#cancelDial?.();
    this.#cancelDial = null;
    const origin = this.#origin;
    if (origin === null) return;
    this.#origin = null;
    origin.user = null;
    if (keep) this.#deps.pool.release(origin, this.#deps.clock());
    else origin.socket.destroy();
  }

  #fail(refusal: Refusal): void {
    this.#release(false);
    if (this.answered) this.#host.broken();
    else this.#host.failed(refusal);
  }

  #badAnswer(why: string): void {
    this.#fail(failure(502, 'bad-answer', why));
  }

  #takeHead(chunk: Buffer): void {
    let bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    while (!this.#over && this.#answer === null) {
      const end = bytes.indexOf(HEAD_END);
      if (end < 0 || end > MAX_HEAD) {
        this.#pending = bytes;
        if (bytes.length > MAX_HEAD) this.#badAnswer('the head of the answer is too large');
        return;
      }
      const parsed = parseResponseHead(bytes.toString('latin1', 0, end));
      bytes = bytes.subarray(end + HEAD_END.length);
      this.#pending = null;
      if (isProblem(parsed)) return this.#badAnswer(parsed.problem);
      if (parsed.status >= 200) this.#beginAnswer(parsed);
      else if (parsed.status === 101) return this.#switchOver(parsed, bytes);
      else if (++this.#interim > MAX_INTERIM) return this.#badAnswer('too many interim answers');
      else if (this.#request.head.minor === 1) this.#write(parsed, NO_BODY, true, false);
    }
    if (!this.#over && this.#answer !== null) this.#takeBody(bytes);
  }

  #switchOver(parsed: ResponseHead, rest: Buffer): void {
    if (!this.#request.upgrade) return this.#badAnswer('the site switched protocols unasked');
    const origin = this.#origin!;
    this.#write(parsed, NO_BODY, true, true);
    this.answered = true;
    this.#over = true;
    this.#origin = null;
    origin.user = null;
    for (const event of ['data', 'drain', 'end', 'error', 'close']) origin.socket.removeAllListeners(event);
    this.#host.upgraded(origin.socket, rest.length > 0 ? rest : null);
  }

  #beginAnswer(parsed: ResponseHead): void {
    const { head } = this.#request;
    const host = this.#host;
    const read = responseFraming(parsed, head.method);
    if (isProblem(read)) return this.#badAnswer(read.problem);
    const open = read.kind === 'chunked' || read.kind === 'close';
    const out: Framing = !open ? read : head.minor === 1 ? { kind: 'chunked' } : { kind: 'close' };
    this.#keepOrigin =
      isPersistent(parsed) && read.kind !== 'close' && !this.#bound && !bindsConnection(parsed);
    // an answer before the request's end means that the rest will not be read
    this.#keepClient = host.mayKeep() && this.#body.done && out.kind !== 'close';
    this.answered = true;
    this.#write(parsed, out, this.#keepClient, false);
    this.#answer = createBodyReader(read, {
      data: (bytes) => {
        this.bytesDown += bytes.length;
        if (!writeBody(host.socket, out, bytes)) this.#origin?.socket.pause();
      },
      end: (trailers) => {
        if (out.kind === 'chunked') writeEnd(host.socket, trailers);
      },
    });
  }

  #takeBody(bytes: Buffer): void {
    const answer = this.#answer!;
    const at = answer.feed(bytes, 0);
    if (at < 0) this.#badAnswer('the body of the answer is broken');
    // bytes after the end would be taken for the next client's answer
    else if (answer.done) this.#finish(at === bytes.length);
  }

  #finish(clean: boolean): void {
    this.#release(clean && this.#keepOrigin && this.#body.done);
    this.#host.finished(this.#keepClient);
  }

  #write(head: ResponseHead, framing: Framing, keep: boolean, upgrade: boolean): void {
    const text = responseLines(head, framing, { via: this.#deps.via, keep, upgrade });
    this.bytesDown += text.length;
    this.#host.socket.write(text, 'latin1');
  }
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
