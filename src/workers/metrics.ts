// What the gateway says of itself: Prometheus text for a monitoring system, and checks for the health page. Counters come
// from the threads as they last sent them; nothing here names a person or a site.

import type { Gauge, Registry } from 'prom-client';
import type { AuditWriter } from './audit-writer.ts';
import { certificateCheck } from './certificate-check.ts';
import type { DnsSockets } from './dns-sockets.ts';
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

/** Counters that must be nought; the data threads and the writer each have some. */
const LOSSES = ['audit_lost', 'lostKept', 'lostVisits', 'undecodable'] as const;

export function createMetrics(deps: {
  readonly pool: Pool;
  readonly writer: Pick<AuditWriter, 'stats' | 'alive' | 'restarts'>;
  readonly lists: Pick<ListKeeper, 'state'>;
  /** how datagrams are read */
  readonly udp: DnsSockets['udp'];
  /** why the last reload was refused, or null */
  readonly configProblem: () => string | null;
  readonly now: () => number;
}): Metrics {
  const { pool, writer, lists } = deps;
  let made:
    Promise<{ registry: Registry; gauge: (name: string, help: string, label?: string) => Gauge }> | undefined;

  // One registry for good: what observes the process is never let go of. Loaded at the first scrape, for many schools
  // never have one.
  const open = () =>
    (made ??= import('prom-client').then((prom) => {
      const registry = new prom.Registry();
      prom.collectDefaultMetrics({ register: registry });
      const gauge = (name: string, help: string, label?: string): Gauge =>
        (registry.getSingleMetric(name) as Gauge | undefined) ??
        new prom.Gauge({ name, help, labelNames: label === undefined ? [] : [label], registers: [registry] });
      return { registry, gauge };
    }));

  return {
    async text() {
      const { registry, gauge } = await open();
      for (const { thread, stats } of [...pool.stats(), { thread: 'audit-writer', stats: writer.stats() }]) {
        const kind = thread.split('-')[0]!;
        for (const [key, value] of Object.entries(stats)) {
          gauge(`schoolgate_${kind}_${metricName(key)}`, `${key} of a ${kind} thread`, 'thread').set(
            { thread },
            value,
          );
        }
      }
      const { names, lists: count, generation, building, sealed } = lists.state();
      const { policy, overrides } = pool.inForce();
      const restarts = pool.health().reduce((sum, one) => sum + one.restarts, writer.restarts());
      const single = (name: string, help: string, value: number): void =>
        gauge(`schoolgate_${name}`, help).set(value);
      single('index_names', 'names in the index in force', names);
      single('index_lists', 'lists in the index in force', count);
      single('index_sealed_names', 'names in sealed lists', sealed);
      single('index_generation', 'generation of the index in force', generation);
      single('index_building', '1 while the next index is built', building ? 1 : 0);
      single('policy_generation', 'revision of the policy in force', policy.generation);
      single('overrides_granted', 'overrides in force or still to begin', overrides.list.length);
      single('thread_restarts', 'threads that died and were replaced', restarts);
      return registry.metrics();
    },

    health() {
      const { names, lists: count, problems, building, sealed } = lists.state();
      const threads = pool.health();
      const dead = threads.filter(({ alive }) => !alive).map(({ thread }) => thread);
      const { settings } = pool.inForce();
      const upstreams = settings.upstreams.length;
      const certificate = certificateCheck(settings.tls, deps.now());
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
        // Slower, not worse: every answer is the same.
        datagrams: {
          ok: true,
          detail: deps.udp.why === null ? 'in batches' : `one by one: ${deps.udp.why}`,
        },
        configuration: {
          ok: deps.configProblem() === null,
          detail: deps.configProblem() ?? 'in force as written at the last reload',
        },
        ...(certificate === null ? {} : { certificate }),
        audit: auditCheck(),
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

  function auditCheck(): Check {
    if (!writer.alive()) return { ok: false, detail: 'the audit writer is starting again' };
    const stats = writer.stats();
    let lost = 0;
    for (const one of [stats, ...pool.stats().map((thread) => thread.stats)]) {
      for (const key of LOSSES) lost += one[key] ?? 0;
    }
    if (lost > 0) return { ok: false, detail: `${lost} events were lost; see the log for the reason` };
    const { held = 0, replaced = 0 } = stats;
    if (held > 0) return { ok: false, detail: `${held} rows wait in memory: the database cannot be written` };
    if (replaced > 0)
      return { ok: false, detail: 'the database was damaged or removed and a new one begun; see the log' };
    return { ok: true, detail: 'writing' };
  }
}
