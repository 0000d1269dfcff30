// What is open now and may have to end: tunnels and requests under way. They are decided again when something changes, and by
// themselves at the time their verdict runs out, with one timer for all.

import { decideChain, letsThrough } from '../policy/chain.ts';
import { addressBytes, parseAddress } from '../policy/networks.ts';
import type { Channel, Engine, Verdict } from '../policy/types.ts';
import { createDecideHost } from './decide-host.ts';
import type { ProxyDeps } from './types.ts';

export type Open = {
  readonly clientAddress: string;
  readonly host: string;
  readonly channel: Channel;
  verdict: Verdict;
  /** the names that `host` led through, decided with it */
  chain: readonly string[];
  /** the addresses at its end, decided with it */
  addresses: readonly string[];
  /** what was let through may not go on */
  end(verdict: Verdict): void;
};

export type Live = {
  add(open: Open): void;
  remove(open: Open): void;
  /**
   * Decides with the names that the host turned out to lead through and the addresses it leads to; what comes out may be a
   * block, which ends nothing.
   */
  follow(open: Open, chain: readonly string[], addresses: readonly string[]): Verdict;
  /** decides everything again */
  recheck(now: number): void;
  readonly count: number;
  /** stops the timer; nothing is ended */
  stop(): void;
};

/** What leads elsewhere from now on ends here, to begin anew there. */
const ended = (verdict: Verdict): Verdict =>
  letsThrough(verdict) ? { ...verdict, action: 'block' } : verdict;

const LONGEST_TIMER = 2 ** 31 - 1;

export function createLive(deps: {
  engine: Engine;
  isLocal?: ProxyDeps['isLocal'];
  now: () => number;
}): Live {
  const { engine } = deps;
  const decideHost = createDecideHost(deps);
  const all = new Set<Open>();
  let timer: NodeJS.Timeout | null = null;
  let due = Infinity;

  const decide = ({ host, chain, addresses, clientAddress, channel }: Open, now: number): Verdict => {
    const client = engine.client(clientAddress);
    const verdict = decideHost(host, client, now, channel);
    const named = decideChain(verdict, chain, (name) => engine.decideHost(name, client, now, channel));
    if (!engine.hasAddressLists()) return named;
    return decideChain(named, addresses, (text) => {
      const address = parseAddress(text);
      return address === null ? null : engine.decideAddress(addressBytes(address), client, now);
    });
  };

  /** What was led to a safe form may stay there when that is no longer asked for. */
  const goesOn = (open: Open, verdict: Verdict): boolean =>
    letsThrough(verdict) && (verdict.target === null || verdict.target === open.verdict.target);

  const decideAgain = (which: readonly Open[], now: number) => {
    for (const open of which) {
      const verdict = decide(open, now);
      if (goesOn(open, verdict)) {
        open.verdict = { ...open.verdict, until: verdict.until };
        continue;
      }
      all.delete(open);
      open.end(ended(verdict));
    }
  };

  const arm = () => {
    let earliest = Infinity;
    for (const { verdict } of all)
      if (verdict.until !== null && verdict.until < earliest) earliest = verdict.until;
    set(earliest);
  };

  const set = (at: number) => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    due = at;
    if (at === Infinity) return;
    const wait = Math.min(Math.max(at - deps.now(), 10), LONGEST_TIMER);
    timer = setTimeout(() => {
      const now = deps.now();
      const ran = [...all].filter(({ verdict }) => verdict.until !== null && verdict.until <= now);
      decideAgain(ran, now);
      arm();
    }, wait);
    timer.unref();
  };

  return {
    add(open) {
      all.add(open);
      if (open.verdict.until !== null && open.verdict.until < due) set(open.verdict.until);
    },
    remove(open) {
      all.delete(open);
    },
    follow(open, chain, addresses) {
      open.chain = chain;
      open.addresses = addresses;
      if (chain.length === 0 && !engine.hasAddressLists()) return open.verdict;
      const verdict = decide(open, deps.now());
      if (!goesOn(open, verdict)) return ended(verdict);
      open.verdict = { ...open.verdict, until: verdict.until };
      if (verdict.until !== null && verdict.until < due) set(verdict.until);
      return open.verdict;
    },
    recheck(now) {
      decideAgain([...all], now);
      arm();
    },
    get count() {
      return all.size;
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      due = Infinity;
    },
  };
}
