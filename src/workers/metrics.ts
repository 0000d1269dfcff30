// What the gateway says of itself: Prometheus text for a monitoring system, and checks for the health page. Counters come
// from the threads as they last sent them; nothing here names a person or a site.

import type { Logger } from 'pino';
import type { AuditWriter } from './audit-writer.ts';
import type { ListKeeper } from './list-keeper.ts';
import type { Pool } from './pool.ts';

export type Check = { readonly ok: boolean; readonly detail: string };

export type Metrics = {
  text(): Promise<string>;
  health(): Record<string, Check>;
};

const metricName = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[^a-zA-Z0-9_]/g, '_')
    .toLowerCase();

export function createMetrics(deps: {
  readonly pool: Pool;
  readonly writer: AuditWriter;
  readonly lists: Pick<ListKeeper, 'state'>;
  readonly log: Logger;
}): Metrics {
  const { pool, writer, lists } = deps;

  return {
    async text() {
      // Loaded at the first scrape: many schools never have one.
      const { Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
      const registry = new Registry();
      collectDefaultMetrics({ register: registry });
      const thread = (name: string, stats: Record<string, number>): void => {
        const kind = name.split('-')[0]!;
        for (const [key, value] of Object.entries(stats)) {
          const metric = `schoolgate_${kind}_${metricName(key)}`;
          const gauge =
            (registry.getSingleMetric(metric) as InstanceType<typeof Gauge> | undefined) ??
            new Gauge({
              name: metric,
              help: `${key} of a ${kind} thread`,
              labelNames: ['thread'],
              registers: [registry],
            });
          gauge.set({ thread: name }, value);
        }
      };
      for (const { thread: name, stats } of pool.stats()) thread(name, stats);
      thread('audit-writer', writer.stats());
      const single = (name: string, help: string, value: number): void =>
        new Gauge({ name: `schoolgate_${name}`, help, registers: [registry] }).set(value);
      const { names, lists: count, generation, building } = lists.state();
      single('index_names', 'names in the index in force', names);
      single('index_lists', 'lists in the index in force', count);
      single('index_generation', 'generation of the index in force', generation);
      single('index_building', '1 while the next index is built', building ? 1 : 0);
      const { policy, overrides } = pool.inForce();
      single('policy_generation', 'revision of the policy in force', policy.generation);
      single('overrides_granted', 'overrides in force or still to begin', overrides.list.length);
      single(
        'thread_restarts',
        'threads that died and were replaced',
        pool.health().reduce((sum, one) => sum + one.restarts, writer.restarts()),
      );
      return registry.metrics();
    },

    health() {
      const { names, lists: count, problems, building, sealed } = lists.state();
      const threads = pool.health();
      const dead = threads.filter(({ alive }) => !alive).map(({ thread }) => thread);
      const { lost = 0, waiting = 0 } = writer.stats();
      const upstreams = pool.inForce().settings.upstreams.length;
      return {
        lists: {
          ok: names > 0 && problems.length === 0,
          detail:
            problems.length > 0
              ? problems.join('; ')
              : `${names} names of ${count} lists${building ? ', the next are being built' : ''}`,
        },
        threads: {
          ok: dead.length === 0,
          detail:
            dead.length > 0 ? `${dead.join(', ')} starting again` : `${threads.length} data threads answer`,
        },
        audit: {
          ok: writer.alive() && lost === 0,
          detail: !writer.alive()
            ? 'the audit writer is starting again'
            : lost > 0
              ? `${lost} events were lost`
              : `writing${waiting > 0 ? `, ${waiting} wait` : ''}`,
        },
        upstreams: {
          ok: upstreams > 0,
          detail:
            upstreams > 0
              ? `${upstreams} configured`
              : 'none known: name one under dns.upstreams in gateway.yaml',
        },
        // Not a fault of the gateway, but never to be missed: without a member provider's lists it does not meet the standard.
        illegal_content_list: {
          ok: true,
          detail:
            sealed > 0
              ? `${sealed} names in sealed lists`
              : 'not loaded: the gateway alone does not meet the filtering standard',
        },
      };
    },
  };
}
