// What is known of the upstreams: which are well, which are left for last and until when, which are slow; the order that follows.
// Sends nothing.

import type { Attempt, Server, Way } from './asking.ts';
import { createLatency } from './latency.ts';
import { plainReason } from './plain-reason.ts';
import type { AnyUpstream, UpstreamState } from './types.ts';
import { upstreamText } from './upstreams.ts';

const FAILURES_UNTIL_DOWN = 3;
const MAX_DOWN_MS = 30_000;
/**
 * A server comes after a later one when its smoothed time is more than SLOWER times the other's and SLOWER_BY_MS on top. It
 * is measured again every MEASURE_MS by asking it beside the quicker one.
 */
const SLOWER = 3;
const SLOWER_BY_MS = 50;
const MIN_SAMPLES = 8;
const MEASURE_MS = 5000;

export type Servers = {
  readonly all: readonly Server[];
  /** true when the order as written holds, and nothing is to be looked into */
  usual(): boolean;
  /** servers in the order in which they are to be asked; those known to be dead come last */
  order(at: number): Server[];
  /** servers that are to be asked beside the first, to see whether they are well or quick again; it is their turn only once */
  takeProbes(at: number, clock: number): Server[];
  /** `error` is why, when this is news */
  markFailed(server: Server, at: number, error: Error | null): void;
  markWell(server: Server): void;
  /** now and then: whether some are slow */
  compare(): void;
  down(at: number): number;
  states(): UpstreamState[];
};

export function createServers(
  upstreams: readonly AnyUpstream[],
  open: (server: Server) => { way: Way<Attempt>; tcp: Way<Attempt> | null },
  randomId: () => number,
): Servers {
  const all = upstreams.map((upstream): Server => {
    const server = createServer(upstream, randomId);
    Object.assign(server, open(server));
    return server;
  });
  let bySpeed: readonly Server[] = all;
  let ill = 0;

  const isDue = (server: Server, at: number): boolean =>
    server.failures >= FAILURES_UNTIL_DOWN && server.downUntil <= at;

  return {
    all,
    usual: () => ill === 0 && bySpeed === all,
    order(at) {
      const last = (server: Server): boolean => server.downUntil > at || isDue(server, at);
      // One whose back-off is over is tried beside a good one, so that nobody has to wait for it.
      return [
        ...bySpeed.filter((server) => !last(server)),
        ...bySpeed.filter((server) => isDue(server, at)),
        ...bySpeed.filter((server) => server.downUntil > at),
      ];
    },
    takeProbes(at, clock) {
      const probes = all.filter((server, place) => {
        if (isDue(server, at)) return true;
        const slow = bySpeed.indexOf(server) > place && server.failures === 0;
        if (!slow || server.measureAt > clock) return false;
        server.measureAt = clock + MEASURE_MS;
        return true;
      });
      return probes.length === all.length ? [] : probes;
    },
    markFailed(server, at, error) {
      if (error !== null) server.trouble = { error, at };
      if (server.downUntil > at) return;
      if (server.failures++ === 0) ill++;
      const beyond = server.failures - FAILURES_UNTIL_DOWN;
      if (beyond >= 0) server.downUntil = at + Math.min(MAX_DOWN_MS, 1000 * 2 ** Math.min(beyond, 10));
    },
    markWell(server) {
      if (server.failures === 0) return;
      ill--;
      server.failures = 0;
      server.downUntil = 0;
    },
    compare() {
      if (all.length < 2) return;
      const isSlower = (server: Server, place: number): boolean =>
        server.latency.samples() >= MIN_SAMPLES &&
        all.some(
          ({ latency, failures }, other) =>
            other > place &&
            failures === 0 &&
            latency.samples() >= MIN_SAMPLES &&
            server.latency.smoothed() > SLOWER * latency.smoothed() + SLOWER_BY_MS,
        );
      const slow = all.filter(isSlower);
      bySpeed = slow.length === 0 ? all : [...all.filter((server) => !slow.includes(server)), ...slow];
    },
    down: (at) => all.filter((server) => server.downUntil > at).length,
    states: () =>
      all.map(({ upstream, name, kind, failures, trouble, counts, cookie, mixes, latency }) => ({
        name,
        kind,
        up: failures === 0 || (failures < FAILURES_UNTIL_DOWN && counts.answers > 0),
        trouble: trouble === null ? null : { reason: plainReason(trouble.error, upstream), at: trouble.at },
        ...counts,
        cookies: cookie.use === 'yes',
        mixedCase: kind === 'udp' && mixes,
        latencyMs: latency.smoothed(),
        latency: latency.counts(),
        latencySumMs: latency.sum(),
      })),
  };
}

const NO_WAY: Way<Attempt> = { send: () => null, close: () => {} };

function createServer(upstream: AnyUpstream, randomId: () => number): Server {
  const kind = 'kind' in upstream ? upstream.kind : 'udp';
  const client = new Uint8Array(8);
  for (let i = 0; i < 8; i++) client[i] = randomId() & 0xff;
  return {
    upstream,
    name: upstreamText(upstream),
    kind,
    way: NO_WAY,
    tcp: null,
    failures: 0,
    trouble: null,
    downUntil: 0,
    measureAt: 0,
    mixes: true,
    oddCase: 0,
    cookie: { use: 'unknown', client, server: null, without: 0 },
    counts: {
      queries: 0,
      answers: 0,
      failures: 0,
      timeouts: 0,
      spoofed: 0,
      mismatched: 0,
      retried: 0,
      hedged: 0,
      inFlight: 0,
      tcp: 0,
    },
    latency: createLatency(),
  };
}
