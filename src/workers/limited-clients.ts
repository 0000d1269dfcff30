// Which clients met the rate limit of DNS within the last hour, as the threads tell it each second: for the technician's
// status page, and for one line a minute in the log. Bounded, whatever a flood brings.

import type { LimitedClient } from '../dns/types.ts';

export type Limited = {
  readonly client: string;
  /** of its queries, those turned away between `since` and `last` (UTC ms) */
  readonly queries: number;
  readonly since: number;
  readonly last: number;
};

export type LimitedClients = {
  /** to be called every second or so, with nothing too: what was not logged yet is then */
  take(clients: readonly LimitedClient[]): void;
  /** those of the last hour; the worst come first in `top` */
  state(): { readonly clients: number; readonly queries: number; readonly top: readonly Limited[] };
};

const MAX_CLIENTS = 1024;
const TOP = 20;
const KEPT_MS = 3_600_000;
const SAY_EVERY_MS = 60_000;

type Entry = { queries: number; since: number; last: number; untold: number };

export function createLimitedClients(deps: {
  /** UTC ms */
  readonly now: () => number;
  readonly log: { warn(fields: object, message: string): void };
}): LimitedClients {
  const { now, log } = deps;
  const known = new Map<string, Entry>();
  let untold = false;
  let saidAt = -Infinity;

  function forgetOld(at: number): void {
    // Those far in the future are from before the clock was set back.
    for (const [client, { last }] of known) if (Math.abs(at - last) >= KEPT_MS) known.delete(client);
  }

  /** A place for one more: the one that asked least gives way. */
  function makeRoom(): void {
    if (known.size < MAX_CLIENTS) return;
    let least: string | null = null;
    let queries = Infinity;
    for (const [client, entry] of known) {
      if (entry.queries >= queries) continue;
      least = client;
      queries = entry.queries;
    }
    if (least !== null) known.delete(least);
  }

  function say(at: number): void {
    saidAt = at;
    untold = false;
    let worst = '';
    let most = 0;
    let clients = 0;
    let queries = 0;
    for (const [client, entry] of known) {
      if (entry.untold === 0) continue;
      clients += 1;
      queries += entry.untold;
      if (entry.untold > most) {
        most = entry.untold;
        worst = client;
      }
      entry.untold = 0;
    }
    if (clients === 0) return;
    log.warn(
      { event: 'rate-limited', client: worst, queries: most, clients, allQueries: queries },
      'dns.rate_limit turned queries away; if many people stand behind this address, name it under dns.rate_limit.exempt',
    );
  }

  return {
    take(clients) {
      if (clients.length === 0 && !untold) return;
      const at = now();
      if (clients.length > 0) forgetOld(at);
      for (const { client, queries } of clients) {
        let entry = known.get(client);
        if (entry === undefined) {
          makeRoom();
          known.set(client, (entry = { queries: 0, since: at, last: at, untold: 0 }));
        }
        entry.queries += queries;
        entry.untold += queries;
        entry.last = at;
        untold = true;
      }
      // A clock that was set back must not silence it.
      if (at - saidAt >= SAY_EVERY_MS || at < saidAt) say(at);
    },
    state() {
      forgetOld(now());
      const all = [...known].map(([client, { queries, since, last }]) => ({ client, queries, since, last }));
      all.sort((a, b) => b.queries - a.queries);
      return {
        clients: all.length,
        queries: all.reduce((sum, { queries }) => sum + queries, 0),
        top: all.slice(0, TOP),
      };
    },
  };
}
