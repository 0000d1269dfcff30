// Where the host of an encrypted upstream is: asked of the plain bootstrap servers, never of the gateway itself. A wrong answer
// leads to a certificate that does not fit, and no further.

import { createLookup } from './lookup.ts';
import type { Exchange, Lookup } from './types.ts';

export type HostFinder = {
  /** rejects with an Error that says what to write when there is nobody to ask, or the host has no address */
  readonly find: (host: string) => Promise<readonly string[]>;
  close(): void;
};

export function createHostFinder(deps: {
  /** the way to the bootstrap servers, null when there are none */
  readonly open: () => Exchange | null;
  readonly now: () => number;
}): HostFinder {
  let exchange: Exchange | null = null;
  let lookup: Lookup | null = null;
  /** what was found last is better than nothing when the bootstrap servers are silent */
  const last = new Map<string, readonly string[]>();

  async function find(host: string): Promise<readonly string[]> {
    if (lookup === null) {
      exchange = deps.open();
      if (exchange === null) {
        throw new Error(`nobody can be asked where ${host} is: name a plain server under dns.bootstrap`);
      }
      lookup = createLookup({ exchange, now: deps.now });
    }
    try {
      const found = (await lookup.resolve(host)).addresses.map(({ address }) => address);
      if (found.length > 0) last.set(host, found);
    } catch (error) {
      if (!last.has(host)) throw error;
    }
    const known = last.get(host);
    if (known === undefined) throw new Error(`${host} has no address, say the servers of dns.bootstrap`);
    return known;
  }

  return { find, close: () => exchange?.close() };
}
