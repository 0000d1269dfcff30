// What the connections of one proxy server share, and what the server knows of each. Types only.

import type { Asks } from './asks.ts';
import type { Live } from './live.ts';
import type { OriginPool } from './origin-pool.ts';
import type { Reach } from './reach.ts';
import type { ProxyTimeouts } from './types.ts';

/** What all connections of one server share. */
export type Shared = {
  /** read for each request: a change of settings replaces these three */
  asks: Asks;
  reach: Reach;
  via: string;
  readonly pool: OriginPool;
  readonly live: Live;
  readonly timeouts: ProxyTimeouts;
  readonly counts: Counts;
  /** milliseconds since the server opened, moved on by its sweeps: immune to a clock that is set */
  readonly clock: () => number;
  /** the server is closing: no connection is kept */
  readonly closing: () => boolean;
};

export type Counts = {
  requests: number;
  forwarded: number;
  tunnels: number;
  openTunnels: number;
  blocked: number;
  failed: number;
  malformed: number;
  endedByChange: number;
  timedOut: number;
  /** connections refused because their client had too many */
  crowded: number;
};

export type Connection = {
  /** ends what has waited too long; called every second or so */
  sweep(clock: number): void;
  /** ends it when no request is under way, or after the one that is */
  retire(): void;
  destroy(): void;
};
