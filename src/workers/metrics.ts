// What the gateway says of itself to a monitoring system, as Prometheus text: the figures of the catalogue as the threads last
// sent them, and those of the process. Nothing here names a person or a site.

import type { Registry } from 'prom-client';
import { LATENCY_STEPS } from '../resolver/latency.ts';
import type { AuditWriter } from './audit-writer.ts';
import type { LimitedClients } from './limited-clients.ts';
import type { ListKeeper } from './list-keeper.ts';
import type { UpstreamReport } from './messages.ts';
import { GATEWAY_METRICS, THREAD_METRICS, UPSTREAM_METRICS } from './metric-catalogue.ts';
import type { Metric } from './metric-catalogue.ts';
import type { Pool } from './pool.ts';
import { renderHistogram, renderSamples } from './prometheus-text.ts';
import type { Sample } from './prometheus-text.ts';

const AUDIT_WRITER = 'audit-writer';
const STEPS_IN_SECONDS = LATENCY_STEPS.map((ms) => ms / 1000);

type ThreadStats = { readonly thread: string; readonly stats: Readonly<Record<string, number>> };

export function createMetrics(deps: {
  readonly pool: Pick<Pool, 'reports' | 'health' | 'inForce'>;
  readonly writer: Pick<AuditWriter, 'stats' | 'alive' | 'restarts'>;
  readonly lists: Pick<ListKeeper, 'state'>;
  readonly limited: Pick<LimitedClients, 'state'>;
}): { text(): Promise<string> } {
  const { pool, writer, lists } = deps;
  let made: Promise<Registry> | undefined;

  // One registry for good: what observes the process is never let go of. Loaded at the first scrape, for many schools
  // never have one.
  const openProcess = (): Promise<Registry> =>
    (made ??= import('prom-client').then((prom) => {
      const registry = new prom.Registry();
      prom.collectDefaultMetrics({ register: registry });
      return registry;
    }));

  function ofThreads(): string {
    const threads: ThreadStats[] = pool.reports().map(({ thread, report }) => ({ thread, ...report }));
    const stats = writer.stats();
    if (Object.keys(stats).length > 0) threads.push({ thread: AUDIT_WRITER, stats });
    const samples = new Map<Metric, Sample[]>();
    for (const { thread, stats } of threads) {
      for (const metric of THREAD_METRICS[thread.split('-')[0] as keyof typeof THREAD_METRICS]) {
        for (const [key, label] of Object.entries(metric.from)) {
          const value = stats[key];
          if (value === undefined) continue;
          const values = metric.labels.length === 1 ? [thread] : [thread, label];
          const held = samples.get(metric);
          if (held === undefined) samples.set(metric, [{ values, value }]);
          else held.push({ values, value });
        }
      }
    }
    return [...samples].map(([metric, of]) => renderSamples(metric, of)).join('');
  }

  function ofUpstreams(): string {
    const all = pool
      .reports()
      .flatMap(({ thread, report }) =>
        report.upstreams.map((state) => ({ values: labelsOf(thread, state), state })),
      );
    const { up, latency, counts } = UPSTREAM_METRICS;
    const samples = (value: (state: UpstreamReport) => number): Sample[] =>
      all.map(({ values, state }) => ({ values, value: value(state) }));
    const histograms = all.map(({ values, state }) => ({
      values,
      counts: state.latency,
      sum: state.latencySumMs / 1000,
    }));
    return [
      renderSamples(
        up,
        samples((state) => (state.up ? 1 : 0)),
      ),
      renderHistogram(latency, STEPS_IN_SECONDS, histograms),
      ...counts.map((metric) =>
        renderSamples(
          metric,
          samples((state) => state[metric.key]),
        ),
      ),
    ].join('');
  }

  function ofGateway(): string {
    const { names, lists: count, generation, building, sealed } = lists.state();
    const { policy, overrides } = pool.inForce();
    const threads = [
      ...pool.health(),
      { thread: AUDIT_WRITER, alive: writer.alive(), restarts: writer.restarts() },
    ];
    const its = GATEWAY_METRICS;
    const single = (metric: Metric, value: number): string => renderSamples(metric, [{ values: [], value }]);
    return [
      renderSamples(
        its.threadUp,
        threads.map(({ thread, alive }) => ({ values: [thread], value: alive ? 1 : 0 })),
      ),
      renderSamples(
        its.threadRestarts,
        threads.map(({ thread, restarts }) => ({ values: [thread], value: restarts })),
      ),
      single(its.limitedClients, deps.limited.state().clients),
      single(its.indexNames, names),
      single(its.indexLists, count),
      single(its.indexSealedNames, sealed),
      single(its.indexGeneration, generation),
      single(its.indexBuilding, building ? 1 : 0),
      single(its.policyGeneration, policy.generation),
      single(its.overridesGranted, overrides.list.length),
    ].join('');
  }

  return {
    async text() {
      const process = await openProcess();
      return ofThreads() + ofUpstreams() + ofGateway() + (await process.metrics());
    },
  };
}

const labelsOf = (thread: string, { name, kind, domain }: UpstreamReport): string[] => [
  thread,
  name,
  kind,
  domain,
];
