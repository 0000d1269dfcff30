// What the gateway does, in figures that a technician can read: rates and shares of the last minute, all together and by thread,
// how each upstream does, who met the rate limit.

import { LATENCY_STEPS } from '../resolver/latency.ts';
import { upstreamKey } from './history.ts';
import type { History, Minute } from './history.ts';
import type { LimitedClients } from './limited-clients.ts';
import type { ThreadReport, UpstreamReport } from './messages.ts';
import type { Pool } from './pool.ts';

/** What every query ends in, by the numbers of a DNS thread; each counts once. */
const BLOCKED = ['blocked', 'portal', 'nodata', 'undecided'] as const;
const ANSWERED = [...BLOCKED, 'allowed', 'rewritten', 'any', 'local', 'special', 'failed'] as const;
const TURNED_AWAY = ['unserved', 'limited', 'dropped', 'refused', 'crowded', 'silent', 'malformed'] as const;
const QUERIES = ['queries_udp', 'queries_tcp', 'queries_dot', 'queries_doh'] as const;

/** Failures that may be chance. */
const FEW = 3;

const rounded = (value: number): number => Math.round(value * 1000) / 1000;

const share = (part: number, all: number): number | null => (all === 0 ? null : rounded(part / all));

/**
 * The time within which a share of the answers came, from counts by step: between the bounds of its step as if they were spread
 * evenly. Beyond the last step there is no more to say than that.
 */
export function latencyQuantile(counts: readonly number[], quantile: number): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const wanted = all * quantile;
  let below = 0;
  for (let step = 0; step < LATENCY_STEPS.length; step++) {
    const count = counts[step] ?? 0;
    if (count > 0 && below + count >= wanted) {
      const from = LATENCY_STEPS[step - 1] ?? 0;
      const to = LATENCY_STEPS[step] as number;
      return rounded(from + ((to - from) * (wanted - below)) / count);
    }
    below += count;
  }
  return LATENCY_STEPS[LATENCY_STEPS.length - 1] as number;
}

export function createFigures(deps: {
  readonly pool: Pick<Pool, 'reports' | 'health'>;
  readonly history: Pick<History, 'minute'>;
  readonly limited: Pick<LimitedClients, 'state'>;
}) {
  const { pool, history } = deps;

  const sum = (reports: readonly ThreadReport[], keys: readonly string[]): number =>
    reports.reduce((all, { stats }) => all + keys.reduce((of, key) => of + (stats[key] ?? 0), 0), 0);

  const risen = (minute: Minute, keys: readonly string[]): number =>
    keys.reduce((all, key) => all + minute.rise(key), 0);

  const perSecond = (minute: Minute, keys: readonly string[]): number =>
    minute.seconds === 0 ? 0 : rounded(risen(minute, keys) / minute.seconds);

  function dnsFigures(minute: Minute, reports: readonly ThreadReport[]) {
    const answered = risen(minute, ANSWERED);
    const hits = minute.rise('cached');
    return {
      queriesPerSecond: perSecond(minute, QUERIES),
      blockedShare: share(risen(minute, BLOCKED), answered),
      cacheHitShare: share(hits, hits + minute.rise('forwarded')),
      failedShare: share(minute.rise('failed'), answered),
      turnedAwayPerSecond: perSecond(minute, TURNED_AWAY),
      waiting: sum(reports, ['waiting']),
      queries: sum(reports, QUERIES),
    };
  }

  function proxyFigures(minute: Minute, reports: readonly ThreadReport[]) {
    return {
      requestsPerSecond: perSecond(minute, ['requests']),
      blockedShare: share(minute.rise('blocked'), minute.rise('requests')),
      connections: sum(reports, ['connections']),
      requests: sum(reports, ['requests']),
    };
  }

  function upstreamFigures() {
    const reports = pool.reports();
    const minute = history.minute(reports.map(({ thread }) => thread));
    const byKey = new Map<string, { thread: string; state: UpstreamReport }[]>();
    for (const { thread, report } of reports) {
      for (const state of report.upstreams) {
        const key = upstreamKey(state);
        byKey.set(key, [...(byKey.get(key) ?? []), { thread, state }]);
      }
    }
    return [...byKey].map(([key, seen]) => {
      const { name, kind, domain } = seen[0]!.state;
      // One lost question of a thread that asks little says nothing against a server that answers the others.
      const answers = seen.some(({ state }) => state.up && state.answers > 0);
      const isDown = ({ up, answers: had, failures }: UpstreamReport): boolean =>
        !up && !(answers && had === 0 && failures < FEW);
      const downIn = seen.filter(({ state }) => isDown(state)).map(({ thread }) => thread);
      const latency = minute.latency(key) ?? [];
      // Of the threads that find it down, when there are any: another's trouble may be long over.
      const troubles = seen.flatMap(({ state }) =>
        (downIn.length === 0 || isDown(state)) && state.trouble !== null ? [state.trouble] : [],
      );
      const total = (of: 'queries' | 'failures' | 'spoofed'): number =>
        seen.reduce((all, { state }) => all + state[of], 0);
      return {
        name,
        kind,
        domain,
        up: downIn.length === 0,
        downIn,
        trouble: troubles.sort((a, b) => b.at - a.at)[0] ?? null,
        p50Ms: latencyQuantile(latency, 0.5),
        p95Ms: latencyQuantile(latency, 0.95),
        queries: total('queries'),
        failures: total('failures'),
        spoofed: total('spoofed'),
      };
    });
  }

  /** All threads of a kind together, and each. */
  function ofKind<T extends object>(
    kind: string,
    figures: (minute: Minute, reports: readonly ThreadReport[]) => T,
  ) {
    const reports = new Map(pool.reports().map(({ thread, report }) => [thread, report]));
    const threads = pool.health().filter(({ thread }) => thread.startsWith(`${kind}-`));
    const of = (names: readonly string[]): T =>
      figures(
        history.minute(names),
        names.flatMap((name) => reports.get(name) ?? []),
      );
    return {
      ...of(threads.map(({ thread }) => thread)),
      threads: threads.map((one) => ({ ...one, ...of([one.thread]) })),
    };
  }

  return () => ({
    seconds: rounded(history.minute(pool.health().map(({ thread }) => thread)).seconds),
    dns: ofKind('dns', dnsFigures),
    proxy: ofKind('proxy', proxyFigures),
    upstreams: upstreamFigures(),
    limited: deps.limited.state(),
  });
}
