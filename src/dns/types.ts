// The words of the dns room that others meet: its settings, its handler, its servers. Types only.

import type { Exchange } from '../resolver/types.ts';
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
};

export type DnsHandler = {
  /**
   * Takes one packet of `length` bytes. `reply` is called once, now or later, or never when silence is the answer; the
   * bytes it is given are its own to keep. The packet may be used again as soon as `handle` returns. Never throws.
   */
  handle(
    packet: Uint8Array,
    length: number,
    clientAddress: string,
    transport: 'udp' | 'tcp',
    reply: (answer: Uint8Array) => void,
  ): void;
  stats(): Record<string, number>;
  /** forgets what is cached of these canonical names and all below them, or of everything */
  purge(names?: readonly string[]): void;
};

export type DnsServerOptions = {
  /** an IP address; a wildcard belongs to one socket for each address, which the caller opens */
  readonly address: string;
  readonly port: number;
  readonly handler: Pick<DnsHandler, 'handle'>;
  /** lets several threads listen on the same port */
  readonly reusePort?: boolean;
  readonly log?: (level: 'info' | 'warn' | 'error', msg: string, fields?: Record<string, unknown>) => void;
};

/** An open server; `port` is the real one when 0 was asked for. */
export type DnsServer = { readonly port: number; stats(): Record<string, number>; close(): Promise<void> };
