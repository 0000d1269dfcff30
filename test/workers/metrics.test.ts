import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LATENCY_STEPS } from '../../src/resolver/latency.ts';
import { createHealth } from '../../src/workers/health.ts';
import type { DataSettings, InForce, ThreadReport, UpstreamReport } from '../../src/workers/messages.ts';
import { CATALOGUE, THREAD_METRICS } from '../../src/workers/metric-catalogue.ts';
import { renderMetricReference } from '../../src/workers/metric-reference.ts';
import { createMetrics } from '../../src/workers/metrics.ts';
import { renderSamples } from '../../src/workers/prometheus-text.ts';
import { parsePrometheus, total } from '../support/prometheus.ts';

const upstreams = [{ address: '192.0.2.1', port: 53 }];

const upstream = (change: Partial<UpstreamReport> = {}): UpstreamReport => ({
  name: '192.0.2.1:53',
  domain: '.',
  kind: 'udp',
  up: true,
  trouble: null,
  queries: 5,
  answers: 4,
  failures: 1,
  timeouts: 1,
  mismatched: 0,
  spoofed: 0,
  retried: 0,
  hedged: 0,
  tcp: 0,
  inFlight: 0,
  cookies: false,
  mixedCase: true,
  latencyMs: 3,
  latency: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  latencySumMs: 3012,
  ...change,
});

function bench() {
  const dns: Record<string, number> = { blocked: 3 };
  const writer: Record<string, number> = { written: 5 };
  const threads = [{ thread: 'dns-0', alive: true, restarts: 0 }];
  const problems: string[] = [];
  const seen: { thread: string; upstreams: UpstreamReport[] }[] = [{ thread: 'dns-0', upstreams: [] }];
  const pool = {
    reports: () =>
      seen.map(({ thread, upstreams }) => ({
        thread,
        report: { stats: dns, upstreams, limited: [] } satisfies ThreadReport,
      })),
    health: () => threads,
    inForce: () =>
      ({
        policy: { generation: 4 },
        overrides: { list: [] },
        settings: { upstreams, tls: null } as unknown as DataSettings,
      }) as unknown as InForce,
  };
  const config: { problem: string | null; restart: string[] } = { problem: null, restart: [] };
  const state = { generation: 9, names: 100, lists: 2, sealed: 0, since: 1, building: false, problems };
  const common = {
    pool,
    writer: { stats: () => writer, alive: () => true, restarts: () => 0 },
    lists: { state: () => state },
  };
  const metrics = createMetrics({
    ...common,
    limited: { state: () => ({ clients: 2, queries: 70, top: [] }) },
  });
  const health = createHealth({
    ...common,
    udp: { kind: 'batched', why: null },
    configProblem: () => config.problem,
    needRestart: () => config.restart,
    now: () => 0,
  });
  return { metrics, health, dns, writer, threads, problems, config, seen };
}

describe('metrics', () => {
  it('give the figures of every thread as they are at each scrape', async () => {
    const { metrics, dns } = bench();
    const first = parsePrometheus(await metrics.text());
    expect(total(first, 'schoolgate_dns_answers_total', { thread: 'dns-0', verdict: 'block' })).toBe(3);
    dns['blocked'] = 8;
    dns['cached'] = 2;
    const text = await metrics.text();
    const families = parsePrometheus(text);
    expect(total(families, 'schoolgate_dns_answers_total', { thread: 'dns-0', verdict: 'block' })).toBe(8);
    expect(total(families, 'schoolgate_dns_cache_hits_total', { thread: 'dns-0' })).toBe(2);
    expect(total(families, 'schoolgate_audit_written_total', { thread: 'audit-writer' })).toBe(5);
    expect(total(families, 'schoolgate_policy_generation')).toBe(4);
    expect(total(families, 'schoolgate_dns_limited_clients')).toBe(2);
    expect(total(families, 'schoolgate_thread_up', { thread: 'dns-0' })).toBe(1);
    expect(text.match(/^process_cpu_seconds_total /gm)).toHaveLength(1);
  });

  it('give the latency of each upstream as a histogram in seconds, and a dead one as down', async () => {
    const { metrics, seen } = bench();
    const dead = upstream({
      name: '[2001:db8::1]:53',
      up: false,
      latency: LATENCY_STEPS.map(() => 0).concat(0),
    });
    seen[0]!.upstreams = [upstream(), dead, upstream({ domain: 'inside.example', queries: 2 })];
    const families = parsePrometheus(await metrics.text());
    const of = { upstream: '192.0.2.1:53', kind: 'udp', domain: '.' };
    const name = 'schoolgate_upstream_latency_seconds';
    expect(families.get(name)?.type).toBe('histogram');
    const buckets = families
      .get(name)!
      .samples.filter((sample) => sample.name === `${name}_bucket`)
      .slice(0, LATENCY_STEPS.length + 1);
    expect(buckets.map(({ labels }) => labels['le'])).toEqual([
      ...LATENCY_STEPS.map((ms) => String(ms / 1000)),
      '+Inf',
    ]);
    expect(buckets.map(({ value }) => value)).toEqual([1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
    expect(total(families, `${name}_count`, of)).toBe(4);
    expect(total(families, `${name}_sum`, of)).toBeCloseTo(3.012);
    expect(total(families, 'schoolgate_upstream_up', of)).toBe(1);
    const up = families.get('schoolgate_upstream_up')!.samples;
    expect(up.find(({ labels }) => labels['upstream'] === '[2001:db8::1]:53')?.value).toBe(0);
    expect(total(families, 'schoolgate_upstream_queries_total', { domain: 'inside.example' })).toBe(2);
  });

  it('write any label so that it reads the same', () => {
    const metric = { name: 'a_total', type: 'counter', help: 'a \\ b\nc', labels: ['x'] } as const;
    const values = ['a"b', 'back\\slash', 'two\nlines', '', '{}=,'];
    const text = renderSamples(
      metric,
      values.map((value, n) => ({ values: [value], value: n })),
    );
    const read = parsePrometheus(text)
      .get('a_total')!
      .samples.map(({ labels }) => labels['x']);
    expect(read).toEqual(values);
    expect(renderSamples(metric, [])).toBe('');
  });
});

describe('the catalogue', () => {
  it('names, types and labels stay as they are: alarms of schools depend on them', () => {
    expect(
      CATALOGUE.map(({ name, type, labels }) => `${name} ${type} ${labels.join(',')}`.trim()),
    ).toMatchSnapshot();
  });

  it('is in order: counters end in _total, names are said once and in plain units, no number is shown twice', () => {
    expect(new Set(CATALOGUE.map(({ name }) => name)).size).toBe(CATALOGUE.length);
    for (const { name, type, help } of CATALOGUE) {
      expect(name).toMatch(/^schoolgate_[a-z0-9]+(_[a-z0-9]+)*$/);
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      expect(name).not.toMatch(/_ms|_kb|_mb|_percent/);
      expect(help).toMatch(/\.$/);
    }
    for (const metrics of Object.values(THREAD_METRICS)) {
      const keys = metrics.flatMap(({ from }) => Object.keys(from));
      expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
    }
  });

  it('is what docs/metrics.md says (npm run docs)', () => {
    expect(readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')).toBe(
      renderMetricReference(),
    );
  });
});

describe('health', () => {
  it('is well when an upstream is left that answers, and degraded when none does', () => {
    const { health, seen } = bench();
    seen[0]!.upstreams = [upstream({ up: false }), upstream({ name: 'dns.example', kind: 'tls' })];
    expect(health()['upstreams']).toEqual({ ok: true, detail: '1 configured, not answering: 192.0.2.1:53' });
    seen[0]!.upstreams = [upstream({ up: false })];
    expect(health()['upstreams']).toMatchObject({ ok: false });
    expect(health()['upstreams']!.detail).toContain('192.0.2.1:53');
    // Another thread that asks it knows better; one upstream of an inside name says nothing of the others.
    seen.push({ thread: 'dns-1', upstreams: [upstream()] });
    expect(health()['upstreams']!.ok).toBe(true);
    seen.splice(0, 2, { thread: 'dns-0', upstreams: [upstream({ up: false, domain: 'inside.example' })] });
    expect(health()['upstreams']).toEqual({ ok: true, detail: '1 configured' });
  });

  it('is well when nothing is lost, waiting, dead or refused, and says so of the empty sealed slot', () => {
    const { health } = bench();
    const checks = health();
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
  ])('is degraded by %s', (_, check, spoil) => {
    const made = bench();
    spoil(made);
    expect(made.health()[check]!.ok).toBe(false);
  });

  it('says what an edit needs a restart for, and stays well', () => {
    const { health, config } = bench();
    config.restart = ['listen', 'dns.udp'];
    expect(health()['configuration']).toEqual({
      ok: true,
      detail: 'restart needed: listen, dns.udp; the rest is in force',
    });
    config.problem = 'refused';
    expect(health()['configuration']).toEqual({ ok: false, detail: 'refused' });
  });
});
