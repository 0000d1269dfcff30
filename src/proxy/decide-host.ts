// The policy's verdict on a host, as DNS gives it: names of the school's own are open to everyone who may reach them there.

import { yieldsToLocal } from '../policy/local-names.ts';
import type { Channel, Client, Engine, Verdict } from '../policy/types.ts';
import type { ProxyDeps } from './types.ts';

export type DecideHost = (host: string, client: Client, now: number, channel: Channel) => Verdict;

/** `isLocal` is asked only of names that would be blocked. */
export function createDecideHost(deps: {
  readonly engine: Engine;
  readonly isLocal?: ProxyDeps['isLocal'];
}): DecideHost {
  const { engine, isLocal } = deps;
  return (host, client, now, channel) => {
    const verdict = engine.decideHost(host, client, now, channel);
    if (verdict.action === 'allow' || isLocal === undefined) return verdict;
    if (!yieldsToLocal(verdict) || !isLocal(host)) return verdict;
    return {
      ...verdict,
      action: 'allow',
      reason: 'local-allow',
      rule: 'a name of the school’s own (dns.records)',
      category: null,
      rating: null,
      list: null,
    };
  };
}
