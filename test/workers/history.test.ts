import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LATENCY_STEPS, createLatency } from '../../src/resolver/latency.ts';
import { createFigures, latencyQuantile } from '../../src/workers/figures.ts';
import { createHistory, upstreamKey } from '../../src/workers/history.ts';
import type { ThreadReport, UpstreamReport } from '../../src/workers/messages.ts';

const report = (stats: Record<string, number>, upstreams: Partial<UpstreamReport>[] = []): ThreadReport => ({
  stats,
  upstreams: upstreams as UpstreamReport[],
  limited: [],
});

function rig() {
  const clock = { at: 0 };
  const history = createHistory({ clock: () => clock.at });
  return { clock, history };
}

describe('what happened in the last minute', () => {
  it('is what the counters rose by, in the time that was heard of', () => {
    const { clock, history } = rig();
    expect(history.minute(['dns-0'])).toMatchObject({ seconds: 0 });
    expect(history.minute(['dns-0']).rise('queries')).toBe(0);
    history.add('dns-0', report({ queries: 10 }));
    clock.at = 1000;
    history.add('dns-0', report({ queries: 25 }));
    const minute = history.minute(['dns-0']);
    expect([minute.seconds, minute.rise('queries'), minute.rise('other')]).toEqual([2, 25, 0]);
  });

  it('forgets what is older than a minute, and a thread that is silent', () => {
    const { clock, history } = rig();
    for (let second = 0; second <= 300; second++) {
      clock.at = second * 1000;
      history.add('dns-0', report({ queries: second * 7 }));
    }
    const minute = history.minute(['dns-0']);
    expect([minute.seconds, minute.rise('queries')]).toEqual([60, 420]);
    clock.at += 61_000;
    expect(history.minute(['dns-0'])).toMatchObject({ seconds: 0 });
  });

  it('knows a successor that begins at 0, also when it is quicker than its predecessor was', () => {
    const { clock, history } = rig();
    history.add('dns-0', report({ queries: 100 }));
    history.died('dns-0');
    clock.at = 1000;
    history.add('dns-0', report({ queries: 130 }));
    expect(history.minute(['dns-0']).rise('queries')).toBe(230);
    // A configuration that was changed begins anew as well, unannounced.
    clock.at = 2000;
    history.add('dns-0', report({ queries: 4 }));
    expect(history.minute(['dns-0']).rise('queries')).toBe(234);
  });

  it('threads add up, and cover the time of the one that was heard for longest', () => {
    const { clock, history } = rig();
    history.add('dns-0', report({ queries: 1 }));
    clock.at = 1000;
    history.add('dns-0', report({ queries: 3 }));
    history.add('dns-1', report({ queries: 5 }));
    const both = history.minute(['dns-0', 'dns-1']);
    expect([both.seconds, both.rise('queries')]).toEqual([2, 8]);
  });

  it('keeps the latencies of an upstream apart by domain, and through its new beginning', () => {
    const { clock, history } = rig();
    const state = (domain: string, answers: number, latency: number[]): Partial<UpstreamReport> => ({
      name: 'a',
      domain,
      answers,
      latency,
    });
    history.add('dns-0', report({}, [state('.', 3, [1, 2]), state('inside', 1, [0, 1])]));
    clock.at = 1000;
    history.add('dns-0', report({}, [state('.', 4, [1, 3]), state('inside', 1, [0, 1])]));
    clock.at = 2000;
    history.add('dns-0', report({}, [state('.', 1, [1, 0])]));
    const minute = history.minute(['dns-0']);
    expect(minute.latency(upstreamKey({ name: 'a', domain: '.' }))).toEqual([2, 3]);
    expect(minute.latency(upstreamKey({ name: 'a', domain: 'inside' }))).toEqual([0, 1]);
    expect(minute.latency(upstreamKey({ name: 'b', domain: '.' }))).toBeNull();
  });
});

describe('the time within which a share of the answers came', () => {
  it.each([
    [[], 0.5, null],
    [[4], 0.5, 0.5],
    [[0, 0, 10], 0.5, 3.5],
    [[5, 5], 0.5, 1],
    [[5, 5], 0.95, 1.9],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], 0.5, 2000],
  ])('%j: %d within %d ms', (counts, quantile, expected) => {
    expect(latencyQuantile(counts, quantile)).toBe(expected);
  });

  it('is in the same step as the true one, whatever the times were', () => {
    const stepOf = (ms: number): number => LATENCY_STEPS.findIndex((step) => ms <= step);
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.001, max: 2000, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(0.5, 0.95),
        (times, quantile) => {
          const latency = createLatency();
          for (const ms of times) latency.add(ms);
          const sorted = times.toSorted((a, b) => a - b);
          const true_ = sorted[Math.ceil(times.length * quantile - 1e-9) - 1]!;
          const found = latencyQuantile(latency.counts(), quantile)!;
          expect(stepOf(found)).toBe(stepOf(true_));
        },
      ),
    );
  });
});

describe('the figures', () => {
  it('are rates and shares of the last minute, all together and by thread', () => {
    const { clock, history } = rig();
    const reports = [
      {
        thread: 'dns-0',
        report: report(
          {
            queries_udp: 90,
            queries_tcp: 10,
            allowed: 60,
            cached: 45,
            forwarded: 15,
            blocked: 40,
            waiting: 2,
          },
          [
            {
              name: 'a',
              domain: '.',
              kind: 'udp',
              up: true,
              queries: 15,
              failures: 0,
              spoofed: 0,
              answers: 10,
              latency: [10],
            },
          ],
        ),
      },
      {
        thread: 'dns-1',
        report: report({ queries_udp: 100, failed: 10, allowed: 90, limited: 50, waiting: 1 }, [
          {
            name: 'a',
            domain: '.',
            kind: 'udp',
            up: false,
            queries: 5,
            failures: 3,
            spoofed: 0,
            answers: 0,
            latency: [0],
          },
        ]),
      },
      { thread: 'proxy-0', report: report({ requests: 8, blocked: 2, connections: 3 }) },
    ];
    for (const { thread, report: one } of reports) history.add(thread, one);
    clock.at = 1000;
    for (const { thread, report: one } of reports) history.add(thread, one);
    const health = reports.map(({ thread }) => ({ thread, alive: true, restarts: 0 }));
    const pool = { reports: () => reports, health: () => health };
    const limited = { clients: 0, queries: 0, top: [] };
    const figures = createFigures({ pool, history, limited: { state: () => limited } })();
    expect(figures).toMatchObject({
      seconds: 2,
      dns: {
        queriesPerSecond: 100,
        blockedShare: 0.2,
        cacheHitShare: 0.75,
        failedShare: 0.05,
        turnedAwayPerSecond: 25,
        waiting: 3,
        queries: 200,
        threads: [
          { thread: 'dns-0', queriesPerSecond: 50, blockedShare: 0.4, failedShare: 0 },
          { thread: 'dns-1', queriesPerSecond: 50, cacheHitShare: null, failedShare: 0.1 },
        ],
      },
      proxy: { requestsPerSecond: 4, blockedShare: 0.25, connections: 3, threads: [{ thread: 'proxy-0' }] },
      upstreams: [{ name: 'a', up: false, downIn: ['dns-1'], p50Ms: 0.5, queries: 20, failures: 3 }],
    });
  });

  it.each([
    ['one lost question against one that is answered elsewhere', 1, 9, []],
    ['three lost ones', 3, 9, ['dns-1']],
    ['one lost question, answered nowhere', 1, 0, ['dns-1']],
  ])('an upstream is down by %s', (_what, failures, answers, downIn) => {
    const { history } = rig();
    const of = (up: boolean, more: Partial<UpstreamReport>): ThreadReport =>
      report({}, [{ name: 'a', domain: '.', kind: 'udp', up, queries: 1, spoofed: 0, latency: [], ...more }]);
    const old = { reason: 'refused', at: 1 };
    const trouble = { reason: 'no answer in 600 ms', at: 2 };
    const reports = [
      { thread: 'dns-0', report: of(true, { answers, failures: 1, trouble: { ...old, at: 3 } }) },
      { thread: 'dns-1', report: of(false, { answers: 0, failures, trouble }) },
    ];
    const pool = { reports: () => reports, health: () => [] };
    const limited = { clients: 0, queries: 0, top: [] };
    const [one] = createFigures({ pool, history, limited: { state: () => limited } })().upstreams;
    const up = downIn.length === 0;
    expect(one).toMatchObject({ up, downIn, trouble: up ? { ...old, at: 3 } : trouble });
  });

  it('are nought before anything was heard', () => {
    const { history } = rig();
    const pool = { reports: () => [], health: () => [{ thread: 'dns-0', alive: true, restarts: 0 }] };
    const limited = { clients: 0, queries: 0, top: [] };
    expect(createFigures({ pool, history, limited: { state: () => limited } })()).toMatchObject({
      seconds: 0,
      dns: { queriesPerSecond: 0, blockedShare: null, threads: [{ thread: 'dns-0', queries: 0 }] },
      upstreams: [],
    });
  });
});
