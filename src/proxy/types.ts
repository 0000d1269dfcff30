// The words of the proxy room: what it is given and what it hands back. Types only.

import type { Decision, Engine } from '../policy/types.ts';
import type { Lookup } from '../resolver/types.ts';

/** How long the proxy waits, in milliseconds. */
export type ProxyTimeouts = {
  /** a request head, from its first byte to its last */
  readonly head: number;
  /** a client connection with no request under way */
  readonly idle: number;
  /** a body that has stopped moving, in either direction */
  readonly body: number;
  /** all attempts to connect to the addresses of one name */
  readonly connect: number;
  /** the head of the origin's answer, once the request is sent */
  readonly response: number;
  /** a tunnel through which nothing moves */
  readonly tunnel: number;
  /** a tunnel of which one side has said all it will */
  readonly halfClosed: number;
  /** a connection to an origin kept for the next request */
  readonly spare: number;
};

export type ProxySettings = {
  readonly connectPorts: readonly number[] | 'any';
  /** host names (each with all below it) and networks inside the school that may be reached */
  readonly allowPrivate: readonly string[];
  /** names (each with all below it) that have an upstream inside the school, so that even `.local` resolves there */
  readonly forwarded?: readonly string[];
  readonly own: {
    /** the gateway's own web name, or null */
    readonly host: string | null;
    /** the addresses the gateway listens on */
    readonly addresses: readonly string[];
    /** the ports it listens on: never reached through the proxy, whatever `allowPrivate` says */
    readonly ports?: readonly number[];
  };
  readonly school: string;
  /** language of the pages, `en` when there are no words for it */
  readonly language: string;
  /** where clients reach the gateway's web part, for links; null leaves the links out */
  readonly publicUrl: string | null;
  /** how much a block page tells a group; the default tells all to `staff` and to groups that extend it */
  readonly detailFor?: (group: string) => 'simple' | 'full';
  readonly timeouts?: Partial<ProxyTimeouts>;
  /** client connections at once; further ones are refused by closing them */
  readonly maxConnections?: number;
  /** connections of one client address at once; further ones are refused by closing them */
  readonly maxPerClient?: number;
};

export type ProxyDeps = {
  readonly engine: Engine;
  readonly lookup: Pick<Lookup, 'resolve'>;
  /** whether a name is one of the school's own, with an address; left out, none is */
  readonly isLocal?: (host: string) => boolean;
  /** called once for each request and tunnel: at once for a refusal, at its end for what was let through */
  readonly record: (decision: Decision) => void;
  /** UTC milliseconds */
  readonly now: () => number;
  readonly settings: ProxySettings;
};

export type ProxyServer = {
  readonly port: number;
  /**
   * Other settings and another way to resolve names from the next request on; the port stays open, and what is under way
   * ends as it began. Time limits and the number of connections stay as they were opened. Throws as `openProxy` does, and
   * changes nothing then.
   */
  configure(settings: ProxySettings, lookup: ProxyDeps['lookup']): void;
  /** policy, index or overrides have changed: what is open is decided again, and ended if it may not go on */
  recheck(now: number): void;
  stats(): Record<string, number>;
  /** stops listening, lets what is under way finish for `graceMs`, then ends it */
  close(graceMs: number): Promise<void>;
};
