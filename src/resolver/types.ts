// What DNS and proxy ask of the resolver room. Types only.

export type Upstream = { readonly address: string; readonly port: number };

export type Exchange = {
  /**
   * Sends a client's query to the upstreams in turn and gives the answer as it came, under the query's own id.
   * Rejects with an Error that names the upstreams when none answered in time.
   */
  query(packet: Uint8Array): Promise<Uint8Array>;
  /**
   * The same without a promise, for the hot path: `done` is called once, never before `ask` returns, with the answer
   * (its bytes good for the time of the call) or null. `packet` is read before `ask` returns and not kept.
   */
  ask(packet: Uint8Array, done: (answer: Uint8Array | null) => void): void;
  stats(): Record<string, number>;
  close(): void;
};

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

/** Where a name leads. */
export type Resolved = {
  /** every address, none when the name has none */
  readonly addresses: readonly ResolvedAddress[];
  /** the other names that the answers led through, lower case, without a final dot: policy has a say in them too */
  readonly chain: readonly string[];
};

export type Lookup = {
  /** where a canonical name leads, from cache while its TTL lasts */
  resolve(name: string): Promise<Resolved>;
  clear(): void;
};
