import { describe, expect, it } from 'vitest';
import type { DataSettings, InForce } from '../../src/workers/messages.ts';
import { createMetrics } from '../../src/workers/metrics.ts';
import type { Pool } from '../../src/workers/pool.ts';

const upstreams = [{ address: '192.0.2.1', port: 53 }];

function bench() {
  const dns: Record<string, number> = { blocked: 3 };
  const writer: Record<string, number> = { written: 5 };
  const threads = [{ thread: 'dns-0', alive: true, restarts: 0 }];
  const problems: string[] = [];
  const pool = {
    stats: () => [{ thread: 'dns-0', stats: dns }],
    health: () => threads,
    inForce: () =>
      ({
        policy: { generation: 4 },
        overrides: { list: [] },
        settings: { upstreams, tls: null } as unknown as DataSettings,
      }) as unknown as InForce,
  } as unknown as Pool;
  const config: { problem: string | null } = { problem: null };
  const metrics = createMetrics({
    udp: { kind: 'batched', why: null },
    configProblem: () => config.problem,
    now: () => 0,
    pool,
    writer: { stats: () => writer, alive: () => true, restarts: () => 0 },
    lists: {
      state: () => ({ generation: 9, names: 100, lists: 2, sealed: 0, since: 1, building: false, problems }),
    },
  });
  return { metrics, dns, writer, threads, problems, config };
}

describe('metrics', () => {
  it('give the counters of every thread as they are at each scrape', async () => {
    const { metrics, dns } = bench();
    expect(await metrics.text()).toContain('schoolgate_dns_blocked{thread="dns-0"} 3');
    dns['blocked'] = 8;
    dns['cacheHits'] = 2;
    const text = await metrics.text();
    expect(text).toContain('schoolgate_dns_blocked{thread="dns-0"} 8');
    expect(text).toContain('schoolgate_dns_cache_hits{thread="dns-0"} 2');
    expect(text).toContain('schoolgate_audit_written{thread="audit-writer"} 5');
    expect(text).toContain('schoolgate_policy_generation 4');
    expect(text.match(/^process_cpu_seconds_total /gm)).toHaveLength(1);
  });

  it('health is well when nothing is lost, waiting, dead or refused, and says so of the empty sealed slot', () => {
    const { metrics } = bench();
    const checks = metrics.health();
    expect(Object.values(checks).every(({ ok }) => ok)).toBe(true);
    expect(checks['illegal_content_list']!.detail).toContain('not loaded');
  });

  it.each([
    [
      'a block that a data thread could not keep',
      'audit',
      (b: ReturnType<typeof bench>) => (b.dns['audit_lost'] = 1),
    ],
    ['a block that the writer gave up', 'audit', (b: ReturnType<typeof bench>) => (b.writer['lostKept'] = 1)],
    [
      'a visit that the writer gave up',
      'audit',
      (b: ReturnType<typeof bench>) => (b.writer['lostVisits'] = 1),
    ],
    ['rows that wait for the disk', 'audit', (b: ReturnType<typeof bench>) => (b.writer['held'] = 7)],
    ['a database that was replaced', 'audit', (b: ReturnType<typeof bench>) => (b.writer['replaced'] = 1)],
    [
      'a configuration that was refused',
      'configuration',
      (b: ReturnType<typeof bench>) => (b.config.problem = 'x'),
    ],
    ['a dead thread', 'threads', (b: ReturnType<typeof bench>) => (b.threads[0]!.alive = false)],
    [
      'a list that was refused',
      'lists',
      (b: ReturnType<typeof bench>) => b.problems.push('list x yields no name'),
    ],
  ])('health is degraded by %s', (_, check, spoil) => {
    const made = bench();
    spoil(made);
    expect(made.metrics.health()[check]!.ok).toBe(false);
  });
});
