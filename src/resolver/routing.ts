// Names with an upstream of their own (`dns.forward`): which exchange a name is asked of. DNS and proxy ask the same way.

import type { Exchange } from './types.ts';

export type Routes = {
  /** the exchange of the longest suffix that holds the canonical name, or null when it goes to the usual upstreams */
  find(host: string): Exchange | null;
};

/** Routes by suffix: `inside.example` holds itself and all below it. Suffixes are canonical names. */
export function createRoutes(forward: Readonly<Record<string, Exchange>>): Routes {
  const routes = Object.entries(forward)
    .map(([suffix, exchange]) => ({ suffix, below: `.${suffix}`, exchange }))
    .sort((a, b) => b.suffix.length - a.suffix.length);
  return {
    find(host) {
      for (const { suffix, below, exchange } of routes) {
        if (host === suffix || host.endsWith(below)) return exchange;
      }
      return null;
    },
  };
}
