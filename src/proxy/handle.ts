// One client connection: requests in order, each read, decided, checked and then forwarded, tunnelled or answered with a page.
// The order for every target is: policy, then ports and inside addresses, then the resolver, then policy again for the names
// that it led through, then only what was checked.

import type { Socket } from 'node:net';
import { domainToASCII } from 'node:url';
import { letsThrough } from '../policy/chain.ts';
import type { Ask, Fault } from './asks.ts';
import { dial } from './dial.ts';
import { Forward } from './forward.ts';
import { fieldValue, isPersistent, MAX_HEAD, type Field, type Framing, type RequestHead } from './head.ts';
import { asksWebSocket } from './headers.ts';
import type { Open } from './live.ts';
import { failure, type Refusal } from './reach.ts';
import { answerAsLast } from './own-answers.ts';
import { malformed, readRequest, type ReadRequest } from './read-request.ts';
import type { Target } from './target.ts';
import type { Connection, Shared } from './shared.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

type State = 'head' | 'busy' | 'body' | 'tunnel' | 'ending' | 'gone';

/** bytes of further requests taken while one is under way */
const MAX_AHEAD = 64 * 1024;
/** how long a client may go on sending what nobody reads any more, so that it gets to read its answer */
const LINGER_MS = 5_000;
const HEAD_END = Buffer.from('\r\n\r\n');

/** Serves one accepted socket; `onGone` is called once, when it and all that hung on it is closed. */
export function serveConnection(shared: Shared, socket: Socket, onGone: () => void): Connection {
  const { live, timeouts, counts, clock } = shared;
  const address = socket.remoteAddress ?? '';
  let state: State = 'head';
  let pending: Buffer | null = null;
  let scanned = 0;
  let since = clock();
  let unsent = 0;
  let clientEnded = false;
  let keep = true;
  let advancing = false;
  let current: { ask: Ask; open: Open } | null = null;
  let forward: Forward | null = null;
  let tunnel: Tunnel | null = null;
  let cancelDial: (() => void) | null = null;

  const onData = (chunk: Buffer) => {
    if (state === 'ending') return;
    if (state === 'body') return feedBody(chunk);
    pending = pending === null ? chunk : Buffer.concat([pending, chunk]);
    if (state === 'head') advance();
    else if (pending.length > MAX_AHEAD) socket.pause();
  };
  const onEnd = () => {
    clientEnded = true;
    if (state === 'head') end();
    else if (state === 'ending') socket.destroy();
    else if (state === 'body') socket.destroy(); // the body will never be whole
  };
  const onDrain = () => {
    if (forward !== null) forward.drained();
    else if (state === 'head') {
      socket.resume();
      advance();
    }
  };
  const onClose = () => {
    state = 'gone';
    pending = null;
    cancelDial?.();
    forward?.abort();
    settle();
    onGone();
  };
  const onError = () => {}; // 'close' follows
  socket.on('data', onData).on('end', onEnd).on('drain', onDrain).on('close', onClose).on('error', onError);

  /** Takes requests as long as there are whole ones and their answers are read. */
  function advance(): void {
    if (advancing) return;
    advancing = true;
    while (state === 'head' && takeRequest()) {
      if (socket.writableNeedDrain) {
        socket.pause();
        break;
      }
    }
    advancing = false;
  }

  function takeRequest(): boolean {
    let start = 0;
    // an empty line before a request is forgiven, once (RFC 9112 section 2.2)
    if (pending !== null && pending[0] === 13 && pending[1] === 10) start = 2;
    if (pending === null || pending.length <= start) {
      if (clientEnded || shared.closing()) end();
      return false;
    }
    const stop = pending.indexOf(HEAD_END, Math.max(start, scanned - 3));
    if (stop < 0 || stop - start > MAX_HEAD) {
      if (scanned === 0) since = clock();
      scanned = pending.length;
      if (pending.length > MAX_HEAD) reject({ status: 431, kind: 'too-large' }, []);
      else if (pending.indexOf('\n\n') >= 0) reject(malformed('lines must end in CR LF'), []);
      else if (clientEnded) end();
      return false;
    }
    const text = pending.toString('latin1', start, stop);
    const rest = stop + HEAD_END.length;
    const length = rest - start;
    pending = pending.length > rest ? pending.subarray(rest) : null;
    scanned = 0;
    counts.requests++;
    const read = readRequest(text, domainToASCII);
    if ('fault' in read) reject(read.fault, read.fields);
    else handle(read, length);
    return true;
  }

  function handle({ head, framing, target }: ReadRequest, length: number): void {
    const isConnect = head.method === 'CONNECT';
    keep = isPersistent(head) && !shared.closing();
    const ask = shared.asks.open(head, target.host, isConnect ? 'connect' : 'http', address);
    ask.bytesIn = length;
    if (!letsThrough(ask.verdict)) return block(ask, framing);
    const refusal = shared.reach.precheck(target, isConnect ? 'connect' : 'http');
    if (refusal !== null) return refuse(ask, refusal, framing);
    const last = answerAsLast(head);
    if (last !== null) {
      ask.bytesOut = last.length;
      shared.asks.close(ask);
      socket.write(last, 'latin1');
      return framing.kind === 'none' && keep ? undefined : end();
    }
    state = 'busy';
    const open: Open = {
      clientAddress: address,
      host: target.host,
      channel: ask.channel,
      verdict: ask.verdict,
      chain: [],
      addresses: [],
      end: (verdict) => cutOff(ask, verdict, framing),
    };
    current = { ask, open };
    live.add(open);
    if (target.isAddress) go(ask, head, target, framing, [target.host]);
    else
      void shared.reach.resolve(target, ask.verdict.target).then((found) => {
        if (current?.ask !== ask) return; // the client has gone, or it was cut off
        const addresses = 'status' in found.to ? [] : found.to;
        const verdict = live.follow(open, found.chain, addresses);
        if (!letsThrough(verdict)) {
          ask.verdict = verdict;
          block(ask, framing);
        } else if ('status' in found.to) refuse(ask, found.to, framing);
        else go(ask, head, target, framing, found.to);
      });
  }

  function go(
    ask: Ask,
    head: RequestHead,
    target: Target,
    framing: Framing,
    addresses: readonly string[],
  ): void {
    if (head.method === 'CONNECT') return connectTunnel(ask, target, framing, addresses);
    counts.forwarded++;
    const upgrade = framing.kind === 'none' && asksWebSocket(head);
    forward = new Forward(
      shared,
      { head, target, framing, addresses, upgrade },
      {
        socket,
        ready() {
          state = 'body';
          const waiting = pending;
          pending = null;
          if (waiting !== null) feedBody(waiting);
          else if (forward!.bodyDone) state = 'busy';
          socket.resume();
        },
        mayKeep: () => keep && !clientEnded && !shared.closing(),
        failed: (refusal) => refuse(ask, refusal, framing),
        broken() {
          counts.failed++;
          // a reset, so that a cut-off answer cannot pass for a whole one
          socket.resetAndDestroy();
        },
        finished(more) {
          const unread = !forward!.bodyDone;
          settle();
          since = clock();
          if (!more || unread) return end();
          state = 'head';
          socket.resume();
          advance();
        },
        upgraded: (origin, rest) => join(ask, origin, rest),
      },
    );
    forward.start();
  }

  function feedBody(chunk: Buffer): void {
    const at = forward!.feed(chunk, 0);
    if (at < 0) {
      const { ask } = current!;
      counts.malformed++;
      if (forward!.answered) return void socket.destroy();
      shared.asks.refuse(ask, {
        action: 'error',
        reason: 'malformed',
        rule: 'the chunked body is broken',
      });
      return sendPage(ask, malformed('the chunked body is broken'), { kind: 'chunked' });
    }
    if (!forward!.bodyDone) {
      if (clientEnded) socket.destroy();
      return;
    }
    state = 'busy';
    if (at < chunk.length) {
      pending = chunk.subarray(at);
      if (pending.length > MAX_AHEAD) socket.pause();
    }
  }

  function connectTunnel(ask: Ask, target: Target, framing: Framing, addresses: readonly string[]): void {
    cancelDial = dial(addresses, target.port, timeouts.connect, (origin, _address, fault) => {
      cancelDial = null;
      if (origin === null)
        return refuse(
          ask,
          fault?.kind === 'timeout'
            ? failure(504, 'timeout', fault.detail)
            : failure(502, 'unreachable', fault?.detail ?? 'no connection'),
          framing,
        );
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n', 'latin1');
      join(ask, origin, null);
    });
  }

  /** From here on the connection is a tunnel; its own listeners are the only ones. */
  function join(ask: Ask, origin: Socket, down: Buffer | null): void {
    socket
      .off('data', onData)
      .off('end', onEnd)
      .off('drain', onDrain)
      .off('close', onClose)
      .off('error', onError);
    const up = pending;
    pending = null;
    state = 'tunnel';
    counts.tunnels++;
    counts.openTunnels++;
    shared.asks.begin(ask);
    if (forward !== null) {
      ask.bytesIn += forward.bytesUp;
      ask.bytesOut += forward.bytesDown;
      forward = null;
    }
    tunnel = openTunnel({
      client: socket,
      origin,
      first: { up, down },
      clientEnded,
      idleMs: timeouts.tunnel,
      halfClosedMs: timeouts.halfClosed,
      clock: clock(),
      onClose(why) {
        counts.openTunnels--;
        if (why === 'idle') counts.timedOut++;
        state = 'gone';
        settle();
        onGone();
      },
    });
  }

  /** What was let through is decided otherwise now. */
  function cutOff(ask: Ask, verdict: Ask['verdict'], framing: Framing): void {
    counts.endedByChange++;
    cancelDial?.();
    if (tunnel !== null) return tunnel.destroy();
    if (forward?.answered === true) return void socket.destroy();
    forward?.abort();
    ask.verdict = verdict;
    block(ask, framing);
  }

  function block(ask: Ask, framing: Framing): void {
    counts.blocked++;
    sendPage(ask, null, framing);
  }

  function refuse(ask: Ask, refusal: Refusal, framing: Framing): void {
    shared.asks.refuse(ask, refusal);
    if (refusal.action === 'block') counts.blocked++;
    else counts.failed++;
    sendPage(ask, { status: refusal.status, kind: refusal.kind, problem: refusal.rule }, framing);
  }

  function sendPage(ask: Ask, fault: Fault | null, framing: Framing): void {
    const stays = keep && !clientEnded && framing.kind === 'none' && ask.method !== 'CONNECT';
    const page = shared.asks.page(ask, fault, { keep: stays, headOnly: ask.method === 'HEAD' });
    ask.bytesOut += page.length;
    const wasBusy = state !== 'head';
    settle(ask);
    socket.write(page, 'latin1');
    if (!stays) return end();
    state = 'head';
    since = clock();
    if (!wasBusy) return;
    socket.resume();
    advance();
  }

  /** The request cannot be read, so neither can what follows it. */
  function reject(fault: Fault, fields: readonly Field[]): void {
    counts.malformed++;
    socket.write(shared.asks.faultPage(fault, address, fieldValue(fields, 'accept')), 'latin1');
    end();
  }

  /** Closes the books on the request under way. */
  function settle(ask: Ask | undefined = current?.ask): void {
    if (current !== null) live.remove(current.open);
    current = null;
    if (ask !== undefined) {
      ask.bytesIn += forward?.bytesUp ?? tunnel?.bytesUp ?? 0;
      ask.bytesOut += forward?.bytesDown ?? tunnel?.bytesDown ?? 0;
      shared.asks.close(ask);
    }
    forward = null;
  }

  function end(): void {
    if (state === 'gone' || state === 'ending') return;
    state = 'ending';
    since = clock();
    pending = null;
    socket.end();
    if (clientEnded) return;
    // what the client still sends is read and thrown away: unread bytes would turn the end into a reset
    socket.resume();
  }

  return {
    sweep(now) {
      if (tunnel !== null) return tunnel.sweep(now);
      if (forward !== null) return forward.sweep(now);
      if (state === 'head' && pending !== null && now - since >= timeouts.head) {
        counts.timedOut++;
        reject({ status: 408, kind: 'malformed', problem: 'the head of the request came too slowly' }, []);
      } else if (state === 'head' && now - since >= timeouts.idle) socket.destroy();
      else if (state === 'ending') {
        if (socket.writableLength !== unsent) since = now;
        unsent = socket.writableLength;
        if (now - since >= (unsent > 0 ? timeouts.body : LINGER_MS)) socket.destroy();
      }
    },
    retire() {
      if (state === 'head' && pending === null) socket.destroySoon();
    },
    destroy() {
      if (tunnel !== null) tunnel.destroy();
      else socket.destroy();
    },
  };
}
