// What a data thread reports of its upstreams: each with the domain it is asked for, and the questions of all added up.

import type { Exchange, UpstreamState } from '../resolver/types.ts';
import type { UpstreamReport } from './messages.ts';

/** The domain of the upstreams that are asked for all names without upstreams of their own. */
export const ALL_DOMAINS = '.';

export type NamedExchange = { readonly domain: string; readonly exchange: Exchange };

export function reportUpstreams(exchanges: readonly NamedExchange[]): UpstreamReport[] {
  return exchanges.flatMap(({ domain, exchange }) => {
    const states = new Map<string, UpstreamState>();
    for (const state of exchange.upstreams()) {
      // The same server written twice is one series.
      const same = states.get(state.name);
      states.set(state.name, same === undefined ? state : together(same, state));
    }
    return [...states.values()].map((state) => ({ ...state, domain }));
  });
}

function together(a: UpstreamState, b: UpstreamState): UpstreamState {
  return {
    ...a,
    up: a.up || b.up,
    trouble: (a.trouble?.at ?? 0) >= (b.trouble?.at ?? 0) ? a.trouble : b.trouble,
    queries: a.queries + b.queries,
    answers: a.answers + b.answers,
    failures: a.failures + b.failures,
    timeouts: a.timeouts + b.timeouts,
    mismatched: a.mismatched + b.mismatched,
    spoofed: a.spoofed + b.spoofed,
    retried: a.retried + b.retried,
    hedged: a.hedged + b.hedged,
    tcp: a.tcp + b.tcp,
    inFlight: a.inFlight + b.inFlight,
    latency: a.latency.map((count, step) => count + (b.latency[step] ?? 0)),
    latencySumMs: a.latencySumMs + b.latencySumMs,
  };
}

/** The counters of all exchanges, `upstream_` before each name. */
export function sumUpstreams(exchanges: readonly NamedExchange[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { exchange } of exchanges) {
    for (const [name, value] of Object.entries(exchange.stats()))
      sum[`upstream_${name}`] = (sum[`upstream_${name}`] ?? 0) + value;
  }
  return sum;
}
