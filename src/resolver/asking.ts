// The words of asking: a server with all that is known of it, a question in flight, one attempt to get it answered. Types only.

import type { Latency } from './latency.ts';
import type { AnyUpstream } from './types.ts';
import type { Flight, UdpPool } from './udp-pool.ts';

/** A way to a server; a pool of UDP sockets is one, kept connections are others. */
export type Way<T> = Pick<UdpPool<T>, 'send' | 'close'>;

export type Counts = {
  queries: number;
  answers: number;
  failures: number;
  timeouts: number;
  spoofed: number;
  mismatched: number;
  retried: number;
  hedged: number;
  inFlight: number;
  tcp: number;
};

export type Server = {
  readonly upstream: AnyUpstream;
  readonly name: string;
  readonly kind: 'udp' | 'tls' | 'https';
  way: Way<Attempt>;
  /** for answers that were cut off or look forged; null when the way itself is safe from both */
  tcp: Way<Attempt> | null;
  /** silent or out of reach so many times in a row */
  failures: number;
  /** the last of these failures and when it was (UTC ms); kept when it is well again */
  trouble: { readonly error: Error; readonly at: number } | null;
  /** UTC ms */
  downUntil: number;
  /** when a server that was found slow is measured again, by the monotonic clock */
  measureAt: number;
  /** letters are sent in mixed case and must come back so */
  mixes: boolean;
  /** answers in other case than sent, that TCP could not explain */
  oddCase: number;
  cookie: CookieJar;
  readonly counts: Counts;
  readonly latency: Latency;
};

/** DNS cookies towards one server (RFC 7873). */
export type CookieJar = {
  /** `no`: the server was seen to know nothing of cookies, and is left alone */
  use: 'unknown' | 'yes' | 'no';
  readonly client: Uint8Array;
  server: Uint8Array | null;
  /** answers without a cookie while `use` is unknown */
  without: number;
};

export type Done = (answer: Uint8Array | null) => void;

/** Someone else who asked the same: the id and the letters as they wrote them. */
export type Waiter = { readonly id: number; readonly letters: Uint8Array; readonly done: Done };

/** One question in flight, with everyone who asked it. Used again for other questions. */
export type Ask = {
  /** the query of the first who asked, `length` bytes, its question ending at `end` */
  readonly query: Uint8Array;
  length: number;
  end: number;
  hash: number;
  /** the next in the same bucket of the table, and its place among those in flight */
  next: Ask | null;
  place: number;
  done: Done | null;
  readonly others: Waiter[];
  order: readonly Server[];
  readonly attempts: Attempt[];
  /** servers whose answer was no use; they are not asked again for this question */
  readonly spent: Server[];
  /** the best of the answers that were no use */
  fallback: Uint8Array | null;
  turn: number;
  open: number;
  mismatched: number;
  /** when something is to be done, and when it all ends, by the monotonic clock */
  due: number;
  deadline: number;
  /** `ask` has not returned yet, so nobody may be told */
  beginning: boolean;
  over: boolean;
};

/** One query to one server. Used again for others. */
export type Attempt = {
  /** null when the question was settled elsewhere and only the server's health is of interest still */
  ask: Ask | null;
  server: Server | null;
  flight: Flight | null;
  state: 'idle' | 'sending' | 'open' | 'closed';
  /** what was sent, `length` bytes; `view` are these */
  readonly packet: Uint8Array;
  view: Uint8Array;
  end: number;
  sentAt: number;
  /** when it is forgotten, once its question is settled */
  until: number;
  /** sent to see how the server does, beside the one whose answer is waited for */
  probe: boolean;
  mixed: boolean;
  cookie: boolean;
  /** times that the server wanted a better cookie */
  badCookies: number;
  /** why it went over TCP */
  byTcp: 'no' | 'cut' | 'spoofed' | 'case' | 'cookie';
};
