// What the threads did in the last minute, from the counters that they send each second: rises only, so that a thread which
// begins at 0 again, or an upstream that was configured anew, is no fall.

import type { ThreadReport, UpstreamReport } from './messages.ts';

export type Minute = {
  /** what the sums cover; 0 when nothing was heard */
  readonly seconds: number;
  /** by how much a number of the threads rose */
  rise(key: string): number;
  /** answers of an upstream by step of latency, not added up; null when there were none */
  latency(upstream: string): readonly number[] | null;
};

export type History = {
  add(thread: string, report: ThreadReport): void;
  /** its successor begins at 0 */
  died(thread: string): void;
  /** all threads together, or those that are named */
  minute(threads: readonly string[]): Minute;
};

type Second = {
  readonly at: number;
  readonly ms: number;
  readonly rises: ReadonlyMap<string, number>;
  readonly latencies: ReadonlyMap<string, readonly number[]>;
};

type Known = { seconds: Second[]; last: { at: number; report: ThreadReport } | null };

const WINDOW_MS = 60_000;
/** How often a thread reports; what its first report covers. */
const EVERY_MS = 1000;

/** What tells an upstream from the others: the same server may be asked for several domains. */
export const upstreamKey = ({ name, domain }: Pick<UpstreamReport, 'name' | 'domain'>): string =>
  `${domain} ${name}`;

/** `clock` in ms, which is never set. */
export function createHistory({ clock }: { readonly clock: () => number }): History {
  const known = new Map<string, Known>();

  const rise = (value: number, before: number): number => (value >= before ? value - before : value);

  function risesOf(report: ThreadReport, last: ThreadReport | null): Map<string, number> {
    const rises = new Map<string, number>();
    for (const [key, value] of Object.entries(report.stats)) {
      const risen = rise(value, last?.stats[key] ?? 0);
      if (risen > 0) rises.set(key, risen);
    }
    return rises;
  }

  function latenciesOf(report: ThreadReport, last: ThreadReport | null): Map<string, number[]> {
    const latencies = new Map<string, number[]>();
    for (const upstream of report.upstreams) {
      const key = upstreamKey(upstream);
      const former = last?.upstreams.find((one) => upstreamKey(one) === key);
      const began = former === undefined || former.answers > upstream.answers;
      const risen = upstream.latency.map((count, i) => count - (began ? 0 : (former.latency[i] ?? 0)));
      if (risen.some((count) => count > 0)) latencies.set(key, risen);
    }
    return latencies;
  }

  return {
    add(thread, report) {
      const at = clock();
      let one = known.get(thread);
      if (one === undefined) known.set(thread, (one = { seconds: [], last: null }));
      const last = one.last?.report ?? null;
      one.seconds.push({
        at,
        ms: one.last === null ? EVERY_MS : at - one.last.at,
        rises: risesOf(report, last),
        latencies: latenciesOf(report, last),
      });
      one.last = { at, report };
      while (one.seconds.length > 0 && at - one.seconds[0]!.at >= WINDOW_MS) one.seconds.shift();
    },
    died(thread) {
      const one = known.get(thread);
      if (one !== undefined) one.last = null;
    },
    minute(threads) {
      const from = clock() - WINDOW_MS;
      const ofThreads = threads.map((thread) =>
        (known.get(thread)?.seconds ?? []).filter(({ at }) => at > from),
      );
      const seconds = ofThreads.flat();
      const covered = ofThreads.map((own) => own.reduce((sum, { ms }) => sum + ms, 0));
      return {
        seconds: Math.max(0, ...covered) / 1000,
        rise: (key) => seconds.reduce((sum, { rises }) => sum + (rises.get(key) ?? 0), 0),
        latency(upstream) {
          let sum: number[] | null = null;
          for (const { latencies } of seconds) {
            const counts = latencies.get(upstream);
            if (counts === undefined) continue;
            sum = counts.map((count, i) => count + (sum?.[i] ?? 0));
          }
          return sum;
        },
      };
    },
  };
}
