// What DNS and proxy ask of the resolver room. Types only.

export type Upstream = { readonly address: string; readonly port: number };

export type Exchange = {
  /**
   * Sends a client's query to the upstreams in turn and gives the answer as it came, under the query's own id.
   * Rejects with an Error that names the upstreams when none answered in time.
   */
  query(packet: Uint8Array): Promise<Uint8Array>;
  stats(): Record<string, number>;
  close(): void;
};

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

export type Lookup = {
  /** every address of a canonical name, from cache while its TTL lasts; an empty list when the name has none */
  addresses(name: string): Promise<ResolvedAddress[]>;
  clear(): void;
};
