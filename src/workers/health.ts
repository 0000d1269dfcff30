// Whether the gateway is well, check by check, for anyone who may reach the health page: nothing here names a person or a site
// they visit.

import type { AuditWriter } from './audit-writer.ts';
import { certificateCheck } from './certificate-check.ts';
import type { DnsSockets } from './dns-sockets.ts';
import type { ListKeeper } from './list-keeper.ts';
import type { UpstreamReport } from './messages.ts';
import type { Pool } from './pool.ts';
import { ALL_DOMAINS } from './upstream-reports.ts';

export type Check = { readonly ok: boolean; readonly detail: string };

/** Counters that must be nought; the data threads and the writer each have some. */
const LOSSES = ['audit_lost', 'lostKept', 'lostVisits', 'undecodable'] as const;

/** Not a fault: the gateway works as it was started. But nobody should believe that the edit is in force. */
const restartNeeded = (keys: readonly string[]): string =>
  keys.length === 0
    ? 'in force as written at the last reload'
    : `restart needed: ${keys.join(', ')}; the rest is in force`;

export function createHealth(deps: {
  readonly pool: Pick<Pool, 'reports' | 'health' | 'inForce'>;
  readonly writer: Pick<AuditWriter, 'stats' | 'alive'>;
  readonly lists: Pick<ListKeeper, 'state'>;
  /** how datagrams are read, and why not in batches */
  readonly udp: DnsSockets['udp'];
  /** why the last reload was refused, or null */
  readonly configProblem: () => string | null;
  /** edited keys of gateway.yaml that only a restart takes up */
  readonly needRestart: () => readonly string[];
  readonly now: () => number;
}): () => Record<string, Check> {
  const { pool, writer, lists } = deps;

  function health(): Record<string, Check> {
    const { names, lists: count, problems, building, sealed } = lists.state();
    const threads = pool.health();
    const dead = threads.filter(({ alive }) => !alive).map(({ thread }) => thread);
    const { settings } = pool.inForce();
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
        detail: deps.configProblem() ?? restartNeeded(deps.needRestart()),
      },
      ...(certificate === null ? {} : { certificate }),
      audit: auditCheck(),
      upstreams: upstreamCheck(settings.upstreams.length),
      // Not a fault of the gateway, but never to be missed: without a member provider's lists it does not meet the standard.
      illegal_content_list: {
        ok: true,
        detail:
          sealed > 0
            ? `${sealed} names in sealed lists`
            : 'not loaded: the gateway alone does not meet the filtering standard',
      },
    };
  }

  /** A thread that has had no answer from an upstream and no failure either knows nothing of it. */
  function upstreamCheck(configured: number): Check {
    if (configured === 0)
      return { ok: false, detail: 'none known: name one under dns.upstreams in gateway.yaml' };
    const seen = new Set<string>();
    const down = new Map<string, UpstreamReport['trouble']>();
    const up = new Set<string>();
    for (const { thread, report } of pool.reports()) {
      if (!thread.startsWith('dns-')) continue;
      for (const { name, domain, up: isUp, answers, trouble } of report.upstreams) {
        if (domain !== ALL_DOMAINS) continue;
        seen.add(name);
        if (!isUp) down.set(name, trouble);
        else if (answers > 0) up.add(name);
      }
    }
    // One that answers another thread is not down, whatever became of a question long ago.
    for (const name of up) down.delete(name);
    if (down.size === 0) return { ok: true, detail: `${configured} configured` };
    const names = [...down]
      .map(([name, trouble]) => (trouble === null ? name : `${name} (${trouble.reason})`))
      .join(', ');
    if (down.size < seen.size)
      return { ok: true, detail: `${configured} configured, not answering: ${names}` };
    return { ok: false, detail: `none answers: ${names}` };
  }

  function auditCheck(): Check {
    if (!writer.alive()) return { ok: false, detail: 'the audit writer is starting again' };
    const stats = writer.stats();
    let lost = 0;
    for (const one of [stats, ...pool.reports().map(({ report }) => report.stats)]) {
      for (const key of LOSSES) lost += one[key] ?? 0;
    }
    if (lost > 0) return { ok: false, detail: `${lost} events were lost; see the log for the reason` };
    const { held = 0, replaced = 0 } = stats;
    if (held > 0) return { ok: false, detail: `${held} rows wait in memory: the database cannot be written` };
    if (replaced > 0)
      return { ok: false, detail: 'the database was damaged or removed and a new one begun; see the log' };
    return { ok: true, detail: 'writing' };
  }

  return health;
}
