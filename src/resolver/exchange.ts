// Asking the upstreams: one query in, one answer out, whatever happens to the servers in between. Retries, hedges, goes to TCP
// when an answer was cut off or looks forged, and leaves dead servers for last. Never looks at policy and keeps no answers.

import { createAskTable, MAX_QUERY } from './ask-table.ts';
import type { Ask, Done, Server } from './asking.ts';
import { createAttempts } from './attempts.ts';
import { openWays } from './open-ways.ts';
import type { WayDeps } from './open-ways.ts';
import { questionEnd } from './questions.ts';
import { createServers } from './servers.ts';
import type { AnyUpstream, Exchange, Upstream } from './types.ts';
import { isOurselves, upstreamText } from './upstreams.ts';

export type ExchangeDeps = Omit<WayDeps, 'onAnswer' | 'onUnreachable'> & {
  readonly upstreams: readonly AnyUpstream[];
  /** UTC ms; used for the back-off of dead upstreams only */
  readonly now: () => number;
  /** how long a query may take in all */
  readonly timeoutMs?: number;
  /** after how long the next upstream is asked as well; doubles with each attempt */
  readonly retryMs?: number;
  /** different questions in flight at once; further ones are refused */
  readonly maxInFlight?: number;
  /** what the gateway itself listens on, and this machine's addresses, so that a loop is noticed */
  readonly own?: readonly Upstream[];
  readonly localAddresses?: readonly string[];
};

const MAX_ATTEMPTS = 4;
/** A whole school may ask for one name at once. */
const MAX_WAITERS = 4096;
/** How finely time is looked at; nothing here needs it finer. */
const TICK_MS = 25;
const COMPARE_MS = 1000;

/**
 * Opens nothing until the first query. Throws when there is no upstream, or one is the gateway itself.
 * `close` takes no new queries, lets those in flight end and then closes its sockets.
 */
export function createExchange(deps: ExchangeDeps): Exchange {
  const { now, randomId, timeoutMs = 4000, retryMs = 600, maxInFlight = 16_384 } = deps;
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
    hedged: 0,
    tcp: 0,
    answered: 0,
    failed: 0,
    refused: 0,
    mismatched: 0,
    spoofed: 0,
    unreachable: 0,
  };
  const table = createAskTable(maxInFlight, (randomId() << 16) ^ randomId());
  const { live } = table;
  const dueAsks: Ask[] = [];
  let closed = false;
  let ticker: NodeJS.Timeout | null = null;
  let held = false;
  let compareAt = 0;

  const attempts = createAttempts({
    table,
    counts,
    now,
    randomId,
    servers: () => servers,
    answered: settle,
    lost: (ask) => advance(ask, performance.now()),
  });
  const servers = createServers(
    deps.upstreams,
    (server) =>
      openWays(server.upstream, {
        ...deps,
        onAnswer: (answer, attempt) => attempts.take(server, attempt, answer),
        onUnreachable: attempts.unreachable,
      }),
    randomId,
  );
  const names = servers.all.map(({ name }) => name).join(', ');

  function begin(ask: Ask, clock: number): void {
    ask.order = servers.all;
    if (!servers.usual()) {
      const at = now();
      const probes = servers.takeProbes(at, clock);
      ask.order = servers.order(at);
      for (const server of probes) {
        if (server.failures > 0) servers.markFailed(server, at, null);
        attempts.send(ask, server, clock, true);
      }
      if (probes.includes(ask.order[0] as Server)) ask.turn++;
    }
    advance(ask, clock);
  }

  /** Sends the next attempt; settles when there is none left to send and none to wait for. */
  function advance(ask: Ask, clock: number): void {
    while (!ask.over && ask.turn < Math.max(MAX_ATTEMPTS, ask.order.length)) {
      const server = ask.order[ask.turn % ask.order.length] as Server;
      const first = ask.turn++ === 0;
      if (ask.spent.length > 0 && ask.spent.includes(server)) continue;
      if (!first) {
        const hedged = ask.open > 0;
        counts[hedged ? 'hedged' : 'retried']++;
        server.counts[hedged ? 'hedged' : 'retried']++;
      }
      if (attempts.send(ask, server, clock, false)) return arm(ask, clock);
    }
    if (ask.over) return;
    if (ask.open === 0) settle(ask, ask.fallback);
    else arm(ask, clock);
  }

  function arm(ask: Ask, clock: number): void {
    const pause = retryMs * 2 ** (ask.turn - 1);
    ask.due = ask.turn >= MAX_ATTEMPTS ? ask.deadline : Math.min(clock + pause, ask.deadline);
  }

  function settle(ask: Ask, answer: Uint8Array | null): void {
    ask.over = true;
    table.remove(ask);
    attempts.letGo(ask, performance.now());
    if (ask.beginning) queueMicrotask(() => tell(ask, answer));
    else tell(ask, answer);
  }

  function tell(ask: Ask, answer: Uint8Array | null): void {
    const { others, query } = ask;
    counts[answer === null ? 'failed' : 'answered'] += others.length + 1;
    try {
      if (answer !== null) {
        answer[0] = query[0] as number;
        answer[1] = query[1] as number;
        for (let i = 12; i < ask.end; i++) answer[i] = query[i] as number;
      }
      (ask.done as Done)(answer);
      for (const { id, letters, done } of others) {
        if (answer !== null) {
          answer[0] = id >>> 8;
          answer[1] = id & 0xff;
          answer.set(letters, 12);
        }
        done(answer);
      }
    } finally {
      table.release(ask);
      if (closed && live.length === 0) closeWays();
    }
  }

  function tick(): void {
    table.tick();
    const clock = performance.now();
    for (const ask of live) if (ask.due <= clock) dueAsks.push(ask);
    for (const ask of dueAsks) if (!ask.over) late(ask, clock);
    dueAsks.length = 0;
    const swept = attempts.sweep(clock);
    if (clock >= compareAt) {
      compareAt = clock + COMPARE_MS;
      servers.compare();
    }
    if (live.length > 0) return;
    if (!swept) return release();
    clearInterval(ticker as NodeJS.Timeout);
    ticker = null;
  }

  function late(ask: Ask, clock: number): void {
    const last = ask.attempts[ask.attempts.length - 1];
    if (last !== undefined && last.state === 'open') {
      const server = last.server as Server;
      server.counts.timeouts++;
      server.counts.failures++;
      const since = ask.attempts.find((attempt) => attempt.server === server)?.sentAt ?? last.sentAt;
      servers.markFailed(server, now(), new Error(`no answer in ${Math.round(clock - since)} ms`));
    }
    if (clock >= ask.deadline) settle(ask, ask.fallback);
    else advance(ask, clock);
  }

  /** What is in flight keeps the process up, unless it is to end anyway. */
  function hold(): void {
    if (ticker === null) ticker = setInterval(tick, TICK_MS);
    else if (!held) ticker.ref();
    held = true;
  }

  function release(): void {
    ticker?.unref();
    held = false;
  }

  function closeWays(): void {
    for (const { way, tcp } of servers.all) {
      way.close();
      tcp?.close();
    }
  }

  /** Null when the question is on its way; otherwise why it is not. */
  function take(packet: Uint8Array, done: Done): string | null {
    counts.queries++;
    const end = packet.length > MAX_QUERY ? -1 : questionEnd(packet);
    if (end < 0) return 'not a query with one question';
    if (closed) return `the way to ${names} is closed`;
    const hash = table.hash(packet, end);
    const same = table.find(packet, end, hash);
    if (same === null ? live.length >= maxInFlight : same.others.length >= MAX_WAITERS) {
      counts.refused++;
      return `too many questions wait for ${names}`;
    }
    if (same !== null) {
      counts.merged++;
      const id = ((packet[0] as number) << 8) | (packet[1] as number);
      same.others.push({ id, letters: new Uint8Array(packet.subarray(12, end)), done });
      return null;
    }
    const clock = performance.now();
    const ask = table.add(packet, end, hash);
    ask.done = done;
    ask.turn = ask.open = ask.mismatched = 0;
    ask.over = false;
    ask.deadline = ask.due = clock + timeoutMs;
    ask.beginning = true;
    if (ticker === null || !held) hold();
    begin(ask, clock);
    ask.beginning = false;
    return null;
  }

  return {
    query(packet) {
      return new Promise((resolve, reject) => {
        const problem = take(packet, (answer) => {
          if (answer === null) reject(new Error(`no answer from ${names}`));
          else resolve(new Uint8Array(answer));
        });
        if (problem !== null) reject(new Error(problem));
      });
    },
    ask(packet, done) {
      if (take(packet, done) !== null) queueMicrotask(() => done(null));
    },
    stats: () => ({ ...counts, inFlight: live.length, down: servers.down(now()) }),
    upstreams: () => servers.states(),
    close() {
      if (closed) return;
      closed = true;
      attempts.close();
      release();
      if (live.length === 0) closeWays();
    },
  };
}
