// What DNS and proxy ask of the resolver room. Types only.

/** A server that is asked by UDP, and by TCP when an answer does not fit. */
export type Upstream = { readonly address: string; readonly port: number };

/** A server that is asked over TLS (RFC 7858) or HTTPS (RFC 8484). */
export type SecureUpstream = {
  readonly kind: 'tls' | 'https';
  /** whose name or address the certificate must bear */
  readonly host: string;
  readonly port: number;
  /** path and query of the URL, empty for TLS */
  readonly path: string;
  /** where the host is, as written; none when it has to be looked up */
  readonly addresses: readonly string[];
};

export type AnyUpstream = Upstream | SecureUpstream;

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
  /** how each upstream does, in the order written */
  upstreams(): UpstreamState[];
  close(): void;
};

export type UpstreamState = {
  readonly name: string;
  readonly kind: 'udp' | 'tls' | 'https';
  /** false after several failures in a row, or one when it has never answered; true when it answers again */
  readonly up: boolean;
  /** why it failed last, in words for people, and when (UTC ms); null when it never did */
  readonly trouble: { readonly reason: string; readonly at: number } | null;
  readonly queries: number;
  readonly answers: number;
  readonly failures: number;
  /** queries that were not answered in time */
  readonly timeouts: number;
  /** answers that did not fit what was asked, and questions that went on over TCP because of them */
  readonly mismatched: number;
  readonly spoofed: number;
  /** asked because another attempt had failed, or was still not answered */
  readonly retried: number;
  readonly hedged: number;
  readonly tcp: number;
  readonly inFlight: number;
  /** whether it was seen to send cookies, and to keep the case of letters */
  readonly cookies: boolean;
  readonly mixedCase: boolean;
  /** ms, smoothed; 0 before the first answer */
  readonly latencyMs: number;
  /** answers by `LATENCY_STEPS`, not added up; one more for those beyond */
  readonly latency: readonly number[];
  /** ms of all answers together */
  readonly latencySumMs: number;
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
