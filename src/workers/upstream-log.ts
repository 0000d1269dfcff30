// Tells the log when an upstream goes down, with the reason, and when it is back: looked at once a second, and for each upstream
// not more than once a minute however it comes and goes. What "down" means is the resolver's.

import type { UpstreamReport } from './messages.ts';

export type UpstreamLog = {
  /** with the states as they are now, every second or so; `clock` in ms, monotonic */
  look(upstreams: readonly UpstreamReport[], clock: number): void;
};

/** What was said last of an upstream; `saidAt` is when it was said to be down. */
type Said = { down: boolean; saidAt: number; why: string };

const QUIET_MS = 60_000;

/** How long an answer did not come differs each time, and is the same trouble. */
const kindOf = (reason: string): string => reason.replace(/\d+/g, '0');

export function createUpstreamLog(deps: {
  readonly log: (level: 'info' | 'warn', msg: string, fields: Record<string, unknown>) => void;
}): UpstreamLog {
  let known = new Map<string, Said>();

  function tell(state: UpstreamReport, said: Said, clock: number): void {
    const { name, domain, up, answers } = state;
    if (up) {
      // One that was not asked yet, after a reload, is not known to be back.
      if (!said.down || answers === 0) return;
      said.down = false;
      return deps.log('info', 'upstream answers again', { upstream: name, domain });
    }
    const reason = state.trouble?.reason ?? 'no answer';
    const news = !said.down || said.why !== kindOf(reason);
    if (!news || clock - said.saidAt < QUIET_MS) return;
    said.down = true;
    said.saidAt = clock;
    said.why = kindOf(reason);
    deps.log('warn', 'upstream down', { upstream: name, domain, reason });
  }

  return {
    look(upstreams, clock) {
      const next = new Map<string, Said>();
      for (const state of upstreams) {
        const key = `${state.domain} ${state.name}`;
        const said = known.get(key) ?? { down: false, saidAt: -Infinity, why: '' };
        next.set(key, said);
        tell(state, said, clock);
      }
      // Those no longer configured are forgotten.
      known = next;
    },
  };
}
