// The words of the dns room that others meet: its settings, its handler, its servers. No behaviour.

import type { LocalData } from '../resolver/local-record.ts';
import type { Exchange } from '../resolver/types.ts';
import type { Discovery } from './discovery.ts';
import type { BlockStyle } from './replies.ts';

export type DnsSettings = {
  /** how a blocked name is answered */
  readonly block: BlockStyle;
  /** addresses of the gateway's own page, for `block: page` and for the portal */
  readonly page: { readonly v4: string | null; readonly v6: string | null };
  /** networks that may ask; others get REFUSED */
  readonly serve: readonly string[];
  /** queries a second for each client address, 0 for no limit; `exempt` are networks */
  readonly rateLimit: { readonly qps: number; readonly exempt: readonly string[] };
  /** names with an upstream of their own, by suffix */
  readonly forward: Readonly<Record<string, Exchange>>;
  /** names and networks that the rebinding guard lets through */
  readonly allowPrivate: readonly string[];
  /** the school's own names, until `setLocal` is called */
  readonly local: LocalData;
  /** announces DoT and DoH of our own; left out or null, clients are told of none */
  readonly discovery?: Discovery | null;
  readonly cache: {
    readonly maxBytes: number;
    /** bounds of every TTL, in seconds; one of zero stays zero */
    readonly leastTtl: number;
    readonly mostTtl: number;
    /** for how long beyond its TTL an answer may stand in while the upstreams are silent, in ms */
    readonly staleMs: number;
    /** renew what is asked for often shortly before its TTL is over */
    readonly prefetch: boolean;
  };
  /** the guard against data carried in DNS; `exempt` are canonical names */
  readonly tunnel: { readonly action: 'limit' | 'log' | 'off'; readonly exempt: readonly string[] };
};

/** How a packet came. A stream has room for any answer; the encrypted ones are told apart for the counters. */
export type Transport = 'udp' | 'tcp' | 'dot' | 'doh';

/** Who sends packets from one address, looked up once and kept by the handler; nothing in it is for servers to use. */
export type Asker = { readonly address: string; readonly clientId: string | null };

export type LimitedClient = { readonly client: string; readonly queries: number };

/** Makes the way by which an answer that is not there yet goes to whoever sent the packet at hand. */
export type Later = () => (answer: Uint8Array) => void;

export type DnsHandler = {
  /**
   * Who sends from `address` (plain spelling, no `::ffff:`), by a DoT or DoH client id if there is one. To be asked for
   * each packet: it is one look-up, and what is known of an address changes with the policy.
   */
  asker(address: string, clientId?: string | null): Asker;
  /** the same for an IPv4 address as a number, so that no text need be made */
  asker4(address: number): Asker;
  /**
   * Takes one packet of `length` bytes. An answer that is there at once is written to the start of `out`, which has
   * `ANSWER_ROOM` bytes (`DATAGRAM_ROOM` for UDP), and its length is returned. Otherwise 0 is returned, and either `later` was called (before
   * the return) and what it gave is called once with an answer whose bytes are good for the time of that call, or
   * silence is the answer. `packet` may be used again as soon as this returns. Never throws.
   */
  handle(
    packet: Uint8Array,
    length: number,
    asker: Asker,
    transport: Transport,
    out: Uint8Array,
    later: Later,
  ): number;
  stats(): Record<string, number>;
  /** served clients that the rate limit met since this was last asked, with how many of their queries it turned away */
  takeLimited(): LimitedClient[];
  /** forgets what is cached of these canonical names and all below them, or of everything */
  purge(names?: readonly string[]): void;
  /** takes the school's own names anew */
  setLocal(data: LocalData): void;
};

/** Room for any answer. */
export const ANSWER_ROOM = 66_048;
/** Room for any answer over UDP: none is longer than 1,232 bytes. */
export const DATAGRAM_ROOM = 2048;

export type DnsServerOptions = {
  /** an IP address; a wildcard belongs to one socket for each address, which the caller opens */
  readonly address: string;
  readonly port: number;
  readonly handler: Pick<DnsHandler, 'handle' | 'asker' | 'asker4'>;
  /** lets several threads listen on the same port */
  readonly reusePort?: boolean;
  readonly log?: (level: 'info' | 'warn' | 'error', msg: string, fields?: Record<string, unknown>) => void;
};

/** An open server; `port` is the real one when 0 was asked for. */
export type DnsServer = { readonly port: number; stats(): Record<string, number>; close(): Promise<void> };
