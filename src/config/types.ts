// The words of the config room: what the two files come to once they are read, and how a mistake in them is told.
// Types only. The policy itself is a `PolicyModel` of the policy room.

import type { ListSource } from '../blocklist/types.ts';
import type { PolicyModel } from '../policy/types.ts';
import type { LocalRecord } from '../resolver/local-record.ts';
import type { AnyUpstream, Upstream } from '../resolver/types.ts';

/** A place to listen: an address without brackets and a port, 0 for any free one. */
export type ListenAddress = { readonly address: string; readonly port: number };

/** A list with the files that hold it, as absolute paths (more than one only for a category directory). */
export type ListConfig = ListSource & { readonly source: string; readonly files: readonly string[] };

/** The cache of DNS answers: TTLs in seconds, `staleMs` 0 for never. */
export type DnsCacheSettings = {
  readonly maxBytes: number;
  readonly leastTtl: number;
  readonly mostTtl: number;
  readonly staleMs: number;
  readonly prefetch: boolean;
};

/** A record of the school's own, and which file it is from. */
export type FileRecord = LocalRecord & { readonly origin: 'file' | 'hosts' };

/** gateway.yaml with every default filled in: absolute paths, milliseconds, bytes. */
export type GatewayConfig = {
  /** absolute path of gateway.yaml */
  readonly file: string;
  /** absolute path of policy.yaml */
  readonly policyFile: string;
  readonly school: {
    readonly name: string;
    readonly site: string;
    readonly timezone: string;
    readonly language: string;
  };
  readonly listen: {
    readonly dns: readonly ListenAddress[];
    readonly dot: readonly ListenAddress[];
    readonly doh: readonly ListenAddress[];
    /** forwarders that pass on clients' addresses, and where; none when `from` is empty */
    readonly proxyProtocol: {
      readonly from: readonly string[];
      readonly on: readonly ('dns-tcp' | 'dot' | 'doh')[];
    };
    readonly proxy: readonly ListenAddress[];
    readonly web: readonly ListenAddress[];
  };
  /** absolute paths; null when there is none */
  readonly tls: { readonly cert: string; readonly key: string; readonly host: string | null } | null;
  readonly dns: {
    /** `system` stands for the servers that the machine itself uses */
    readonly upstreams: readonly ('system' | AnyUpstream)[];
    /** canonical name to the upstreams of that name and all below it */
    readonly forward: Readonly<Record<string, readonly AnyUpstream[]>>;
    /** who is asked where the host of an encrypted upstream is; none for the plain ones of `upstreams` */
    readonly bootstrap: readonly Upstream[];
    /** absolute path of a file of further authorities */
    readonly upstreamCa: string | null;
    /** the school's own names, and the names below which there is nothing else */
    readonly local: { readonly records: readonly FileRecord[]; readonly authoritative: readonly string[] };
    readonly block: 'nxdomain' | 'null' | 'page';
    /** how datagrams are read and sent */
    readonly udp: 'auto' | 'batched' | 'dgram';
    readonly serve: readonly string[];
    /** queries a second from one client address */
    readonly rateLimit: { readonly qps: number; readonly exempt: readonly string[] };
    readonly cache: DnsCacheSettings;
    readonly tunnel: { readonly action: 'limit' | 'log' | 'off'; readonly exempt: readonly string[] };
  };
  readonly proxy: { readonly connectPorts: readonly number[] | 'any' };
  /** canonical names and networks */
  readonly allowPrivate: readonly string[];
  readonly web: {
    readonly public: { readonly host: string | null; readonly v4: string | null; readonly v6: string | null };
  };
  readonly metrics: { readonly allow: readonly string[] };
  readonly lists: readonly ListConfig[];
  readonly workers: { readonly dns: number; readonly proxy: number };
  readonly audit: {
    readonly retention: { readonly blockedMs: number; readonly allowedMs: number };
    readonly maxBytes: number;
    readonly sync: 'full' | 'normal';
  };
};

/** A mistake with its place; `line` and `column` count from 1, `key` is empty for the file as a whole. */
export type ConfigError = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly key: string;
  readonly problem: string;
  readonly advice: string;
};

/** Something that works but is probably not what was meant. */
export type ConfigWarning = ConfigError;

export type LoadedConfig =
  | {
      readonly ok: true;
      readonly config: GatewayConfig;
      readonly policy: PolicyModel;
      readonly warnings: readonly ConfigWarning[];
    }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** The steps from the top of a file to a value. */
export type KeyPath = readonly (string | number)[];

/** A mistake found by its path, before the path is turned into a line. `at` says what to point to. */
export type Finding = {
  readonly path: KeyPath;
  readonly at: 'key' | 'value';
  readonly level: 'error' | 'warning';
  readonly problem: string;
  readonly advice: string;
};
