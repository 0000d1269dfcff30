// What main and its threads say to each other. Types only; every message is plain data that a structured clone carries.

import type { EventFilter } from '../audit/search.ts';
import type { StoreSettings } from '../audit/store.ts';
import type { Certificate } from '../config/certificate.ts';
import type { GatewayConfig } from '../config/types.ts';
import type { DnsSettings, LimitedClient } from '../dns/types.ts';
import type { ListReport } from '../blocklist/parse-list.ts';
import type { ListSource, Seed } from '../blocklist/types.ts';
import type { Override, PolicyModel } from '../policy/types.ts';
import type { LocalData, LocalRecord } from '../resolver/local-record.ts';
import type { AnyUpstream, Upstream, UpstreamState } from '../resolver/types.ts';
import type { OutboxRow } from '../state/outbox.ts';

export type Endpoint = { readonly address: string; readonly port: number };

/** The settings of gateway.yaml that the data threads act on; replaced whole on a reload. */
export type DataSettings = {
  readonly upstreams: readonly AnyUpstream[];
  readonly forward: Readonly<Record<string, readonly AnyUpstream[]>>;
  /** who is asked where the host of an encrypted upstream is; none for the plain ones of `upstreams` */
  readonly bootstrap: readonly Upstream[];
  /** further authorities that encrypted upstreams may be signed by, as PEM text */
  readonly upstreamCa: string | null;
  readonly block: 'nxdomain' | 'null' | 'page';
  readonly page: { readonly v4: string | null; readonly v6: string | null };
  readonly serve: readonly string[];
  readonly rateLimit: { readonly qps: number; readonly exempt: readonly string[] };
  readonly cache: DnsSettings['cache'];
  readonly tunnel: DnsSettings['tunnel'];
  /** what DoT and DoH show; null when neither is offered */
  readonly tls: (Certificate & { readonly host: string | null }) | null;
  readonly connectPorts: readonly number[] | 'any';
  readonly allowPrivate: readonly string[];
  /** where the gateway itself listens, so that nobody is led back into it */
  readonly own: {
    readonly host: string | null;
    readonly addresses: readonly string[];
    readonly ports: readonly number[];
  };
  /** the names by which clients find the gateway, unless the school has records of them */
  readonly ownNames: readonly LocalRecord[];
  readonly school: { readonly name: string; readonly language: string };
  /** where clients reach the web part, for links; null when it is not configured */
  readonly publicUrl: string | null;
};

/** Everything a data thread decides with, as main knows it now. */
export type InForce = {
  readonly seed: Seed;
  readonly index: { readonly buffer: SharedArrayBuffer; readonly generation: number } | null;
  readonly policy: { readonly model: PolicyModel; readonly generation: number };
  readonly overrides: { readonly list: readonly Override[]; readonly generation: number };
  readonly settings: DataSettings;
  /** the school's own names */
  readonly records: LocalData;
};

export type Update =
  | { readonly kind: 'index'; readonly index: NonNullable<InForce['index']> }
  | { readonly kind: 'policy'; readonly policy: InForce['policy'] }
  | { readonly kind: 'overrides'; readonly overrides: InForce['overrides'] }
  | { readonly kind: 'settings'; readonly settings: DataSettings }
  | { readonly kind: 'records'; readonly records: LocalData }
  /** forget cached answers of these names and all below them, or of all names */
  | { readonly kind: 'purge'; readonly names: readonly string[] | null };

/** Sockets that belong to main, which alone closes them: a descriptor for each endpoint. */
export type ThreadSockets = { readonly fds: readonly number[] };

/** What a DNS thread needs for streams beyond plain TCP on the addresses of UDP. */
export type StreamStart = {
  readonly dot: readonly Endpoint[];
  readonly doh: readonly Endpoint[];
  readonly proxyProtocol: GatewayConfig['listen']['proxyProtocol'];
  /** the same for all threads, so that each can resume the others' TLS sessions */
  readonly ticketKeys: Uint8Array;
};

export type DataThreadStart = {
  readonly name: string;
  readonly listen: readonly Endpoint[];
  readonly streams: StreamStart;
  /** null when the thread opens its own */
  readonly sockets: ThreadSockets | null;
  readonly ring: SharedArrayBuffer;
  /** where blocks go when the ring is full */
  readonly spillDir: string;
  readonly inForce: InForce;
};

export type ToDataThread =
  | { readonly kind: 'update'; readonly id: number; readonly update: Update }
  | { readonly kind: 'drain'; readonly graceMs: number };

/** How an upstream does as one thread sees it; `domain` is whose names it is asked for, `.` stands for all others. */
export type UpstreamReport = UpstreamState & { readonly domain: string };

/** What a thread says of itself each second. Counters begin at 0 with it. */
export type ThreadReport = {
  readonly stats: Readonly<Record<string, number>>;
  readonly upstreams: readonly UpstreamReport[];
  /** clients that met the rate limit since the report before */
  readonly limited: readonly LimitedClient[];
};

export type FromThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'applied'; readonly id: number }
  | ({ readonly kind: 'stats' } & ThreadReport)
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly msg: string;
      readonly fields: Record<string, unknown>;
    };

export type BuildStart = {
  /** `source` is what the configuration names, `files` the files that hold it */
  readonly sources: readonly (ListSource & { readonly source: string; readonly files: readonly string[] })[];
  readonly seed: Seed;
  readonly digest: string;
  readonly snapshotFile: string;
};

export type BuiltList = { readonly name: string; readonly path: string; readonly report: ListReport };

export type FromBuilder =
  | {
      readonly kind: 'built';
      readonly buffer: SharedArrayBuffer;
      readonly lists: readonly BuiltList[];
      readonly snapshotProblem: string | null;
    }
  | { readonly kind: 'failed'; readonly problems: readonly string[] };

export type AuditThreadStart = {
  readonly store: StoreSettings;
  readonly rings: readonly SharedArrayBuffer[];
  readonly spillDir: string;
};

export type ToAuditWriter =
  { readonly kind: 'copies'; readonly rows: readonly OutboxRow[] } | { readonly kind: 'stop' };

export type FromAuditWriter = FromThread | { readonly kind: 'copied'; readonly ids: readonly number[] };

export type ReaderQuestion =
  | { readonly kind: 'events'; readonly id: number; readonly filter: EventFilter }
  | { readonly kind: 'verify'; readonly id: number };

export type ReaderAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly problem: string; readonly code: string };
