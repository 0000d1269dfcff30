// Asking the upstreams: one query in, one answer out, whatever happens to the servers in between. Retries, hedges, goes to
// TCP when an answer was cut off, and leaves dead servers for last. Never looks at policy and keeps no answers.

import type { Exchange, Upstream } from './types.ts';
import type { Flight, UdpPool } from './udp-pool.ts';
import { answersQuestion, questionEnd, questionKey } from './questions.ts';
import { tcpQuery } from './tcp-query.ts';
import { createUdpPool } from './udp-pool.ts';
import { isOurselves, upstreamText } from './upstreams.ts';

export type ExchangeDeps = {
  readonly upstreams: readonly Upstream[];
  /** UTC ms; used for the back-off of dead upstreams only */
  readonly now: () => number;
  /** an unpredictable number from 0 to 65535 */
  readonly randomId: () => number;
  /** how long a query may take in all */
  readonly timeoutMs?: number;
  /** after how long the next upstream is asked as well; doubles with each attempt */
  readonly retryMs?: number;
  /** different questions in flight at once; further ones are refused */
  readonly maxInFlight?: number;
  readonly sockets?: number;
  readonly socketUses?: number;
  /** what the gateway itself listens on, and this machine's addresses, so that a loop is noticed */
  readonly own?: readonly Upstream[];
  readonly localAddresses?: readonly string[];
};

type Server = {
  readonly upstream: Upstream;
  readonly pool: UdpPool<Attempt>;
  failures: number;
  downUntil: number;
};

type Waiter = { query: Uint8Array; resolve: (answer: Uint8Array) => void; reject: (error: Error) => void };

/** One question in flight, with everyone who asked it. */
type Ask = {
  readonly key: string;
  readonly query: Uint8Array;
  readonly end: number;
  readonly waiters: Waiter[];
  order: readonly Server[];
  readonly attempts: Attempt[];
  /** upstreams whose answer was no use; they are not asked again for this question */
  readonly spent: Set<Server>;
  /** the best of the answers that were no use */
  fallback: Uint8Array | null;
  turn: number;
  open: number;
  timer: NodeJS.Timeout | null;
  /** by the monotonic clock */
  readonly deadline: number;
  over: boolean;
};

type Attempt = { readonly ask: Ask; readonly server: Server; flight: Flight | null; open: boolean };

const MAX_ATTEMPTS = 4;
const MAX_WAITERS = 256;
const FAILURES_UNTIL_DOWN = 3;
const MAX_DOWN_MS = 30_000;
const MAX_TCP = 128;
const NOERROR = 0;
const NXDOMAIN = 3;

/**
 * Opens nothing until the first query. Throws when there is no upstream, or one is the gateway itself.
 * `close` takes no new queries, lets those in flight end and then closes its sockets.
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  const { now, timeoutMs = 4000, retryMs = 600, maxInFlight = 4096 } = deps;
  if (deps.upstreams.length === 0)
    throw new Error('no upstream: name at least one address under dns.upstreams');
  for (const upstream of deps.upstreams) {
    if (isOurselves(upstream, deps.own ?? [], deps.localAddresses ?? [])) {
      throw new Error(
        `upstream ${upstreamText(upstream)} is this gateway itself: name another server under dns.upstreams`,
      );
    }
  }
  const counts = {
    queries: 0,
    merged: 0,
    sent: 0,
    retried: 0,
    tcp: 0,
    answered: 0,
    failed: 0,
    refused: 0,
    mismatched: 0,
    unreachable: 0,
  };
  const asks = new Map<string, Ask>();
  let closed = false;
  let tcpOpen = 0;

  const servers: Server[] = deps.upstreams.map((upstream) => ({
    upstream,
    pool: createUdpPool<Attempt>({
      upstream,
      sockets: deps.sockets ?? 8,
      uses: deps.socketUses ?? 512,
      randomId: deps.randomId,
      onAnswer: (answer, attempt) => {
        if (!answersQuestion(attempt.ask.query, answer, attempt.ask.end)) {
          counts.mismatched++;
          return false;
        }
        receive(attempt, answer, false);
        return true;
      },
      onUnreachable: (attempt) => {
        counts.unreachable++;
        fail(attempt);
      },
    }),
    failures: 0,
    downUntil: 0,
  }));
  const names = servers.map((server) => upstreamText(server.upstream)).join(', ');

  /** Servers in the order written; those that are known to be dead come last. */
  function serverOrder(at: number): readonly Server[] {
    const up = servers.filter((server) => server.downUntil <= at);
    return up.length === servers.length
      ? servers
      : [...up, ...servers.filter((server) => server.downUntil > at)];
  }

  function begin(ask: Ask): void {
    const at = now();
    ask.order = serverOrder(at);
    const isDue = (server: Server): boolean =>
      server.failures >= FAILURES_UNTIL_DOWN && server.downUntil <= at;
    const due = ask.order.filter(isDue);
    // A server whose back-off is over is tried beside a good one, so that nobody has to wait for it.
    if (due.length > 0 && due.length < ask.order.length) {
      ask.order = [...ask.order.filter((server) => !isDue(server)), ...due];
      for (const server of due) {
        markFailed(server);
        send(ask, server);
      }
    }
    advance(ask);
  }

  /** Sends the next attempt; settles when there is none left to send and none to wait for. */
  function advance(ask: Ask): void {
    while (!ask.over && ask.turn < Math.max(MAX_ATTEMPTS, ask.order.length)) {
      const server = ask.order[ask.turn % ask.order.length] as Server;
      ask.turn++;
      if (ask.spent.has(server)) continue;
      if (ask.turn > 1) counts.retried++;
      if (send(ask, server)) return arm(ask);
    }
    if (ask.over) return;
    if (ask.open === 0) settle(ask, ask.fallback);
    else arm(ask);
  }

  function send(ask: Ask, server: Server): boolean {
    const attempt: Attempt = { ask, server, flight: null, open: true };
    // A copy for each attempt: each has an id of its own, and may still lie in the socket's queue.
    attempt.flight = server.pool.send(new Uint8Array(ask.query), attempt);
    if (attempt.flight === null) return false;
    ask.attempts.push(attempt);
    ask.open++;
    counts.sent++;
    return true;
  }

  function arm(ask: Ask): void {
    if (ask.timer !== null) clearTimeout(ask.timer);
    const left = ask.deadline - performance.now();
    const pause = ask.turn >= MAX_ATTEMPTS ? left : Math.min(retryMs * 2 ** (ask.turn - 1), left);
    ask.timer = setTimeout(() => tick(ask), Math.max(1, pause));
    if (closed) ask.timer.unref();
  }

  function tick(ask: Ask): void {
    const late = ask.attempts[ask.attempts.length - 1];
    if (late !== undefined && late.open) markFailed(late.server);
    if (performance.now() >= ask.deadline - 1) settle(ask, ask.fallback);
    else advance(ask);
  }

  /** The server was silent or out of reach: after a few times in a row it is left for last, for a while. */
  function markFailed(server: Server): void {
    const at = now();
    if (server.downUntil > at) return;
    server.failures++;
    const beyond = server.failures - FAILURES_UNTIL_DOWN;
    if (beyond >= 0) server.downUntil = at + Math.min(MAX_DOWN_MS, 1000 * 2 ** Math.min(beyond, 10));
  }

  /** The server did not answer this attempt and will not. */
  function fail(attempt: Attempt): void {
    if (!attempt.open) return;
    markFailed(attempt.server);
    giveUp(attempt);
  }

  function giveUp(attempt: Attempt): void {
    const { ask } = attempt;
    attempt.open = false;
    if (ask.over) return;
    ask.open--;
    ask.spent.add(attempt.server);
    advance(ask);
  }

  /** An answer to the very question; whether it is of use shows here. */
  function receive(attempt: Attempt, answer: Uint8Array, byTcp: boolean): void {
    const { ask, server } = attempt;
    server.failures = 0;
    server.downUntil = 0;
    if (ask.over || !attempt.open) return;
    const rcode = (answer[3] as number) & 15;
    const truncated = ((answer[2] as number) & 2) !== 0;
    if (truncated && !byTcp) {
      ask.fallback ??= answer;
      askByTcp(attempt);
      return;
    }
    if (rcode === NOERROR || rcode === NXDOMAIN) {
      attempt.open = false;
      return settle(ask, answer);
    }
    ask.fallback ??= answer;
    giveUp(attempt);
  }

  function askByTcp(attempt: Attempt): void {
    const { ask, server } = attempt;
    if (tcpOpen >= MAX_TCP) return giveUp(attempt);
    tcpOpen++;
    counts.tcp++;
    const packet = new Uint8Array(ask.query);
    const id = deps.randomId();
    packet[0] = id >>> 8;
    packet[1] = id & 0xff;
    const query = tcpQuery(
      server.upstream,
      packet,
      Math.max(1, ask.deadline - performance.now()),
      (_error, answer) => {
        tcpOpen--;
        const fits =
          answer !== null &&
          answer[0] === packet[0] &&
          answer[1] === packet[1] &&
          answersQuestion(packet, answer, ask.end);
        if (fits) receive(attempt, answer, true);
        else fail(attempt);
      },
    );
    attempt.flight = {
      cancel() {
        if (query.cancel()) tcpOpen--;
      },
    };
  }

  function settle(ask: Ask, answer: Uint8Array | null): void {
    ask.over = true;
    if (ask.timer !== null) clearTimeout(ask.timer);
    for (const attempt of ask.attempts) if (attempt.open) letGo(attempt);
    asks.delete(ask.key);
    if (answer === null) {
      counts.failed += ask.waiters.length;
      const error = new Error(`no answer from ${names}`);
      for (const waiter of ask.waiters) waiter.reject(error);
    } else {
      counts.answered += ask.waiters.length;
      for (const { query, resolve } of ask.waiters) {
        const copy = new Uint8Array(answer);
        // The id and the letters of the name as this asker wrote them.
        copy[0] = query[0] as number;
        copy[1] = query[1] as number;
        for (let i = 12; i < ask.end; i++) copy[i] = query[i] as number;
        resolve(copy);
      }
    }
    if (closed && asks.size === 0) closePools();
  }

  /** A server that was lately in trouble may still show that it is back; of the others nothing more is needed. */
  function letGo(attempt: Attempt): void {
    const { flight, server, ask } = attempt;
    if (flight === null) return;
    if (server.failures === 0 || closed) flight.cancel();
    else setTimeout(() => flight.cancel(), Math.max(1, ask.deadline - performance.now())).unref();
  }

  function closePools(): void {
    for (const server of servers) server.pool.close();
  }

  function query(packet: Uint8Array): Promise<Uint8Array> {
    counts.queries++;
    const end = questionEnd(packet);
    if (end < 0) return Promise.reject(new Error('not a query with one question'));
    if (closed) return Promise.reject(new Error(`the way to ${names} is closed`));
    const key = questionKey(packet, end);
    const same = asks.get(key);
    const full = same === undefined ? asks.size >= maxInFlight : same.waiters.length >= MAX_WAITERS;
    if (full) {
      counts.refused++;
      return Promise.reject(new Error(`too many questions wait for ${names}`));
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { query: new Uint8Array(packet), resolve, reject };
      if (same !== undefined) {
        counts.merged++;
        same.waiters.push(waiter);
        return;
      }
      const ask: Ask = {
        key,
        query: waiter.query,
        end,
        waiters: [waiter],
        order: servers,
        attempts: [],
        spent: new Set(),
        fallback: null,
        turn: 0,
        open: 0,
        timer: null,
        deadline: performance.now() + timeoutMs,
        over: false,
      };
      asks.set(key, ask);
      begin(ask);
    });
  }

  return {
    query,
    ask(packet, done) {
      query(packet).then(done, () => done(null));
    },
    stats: () => ({
      ...counts,
      inFlight: asks.size,
      down: servers.filter((s) => s.downUntil > now()).length,
    }),
    close() {
      if (closed) return;
      closed = true;
      // What is in flight may end, but does not keep the process up.
      for (const ask of asks.values()) ask.timer?.unref();
      if (asks.size === 0) closePools();
    },
  };
}
