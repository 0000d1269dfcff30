// What the web part is given to work with. Everything slow or shared sits behind these functions; the app itself owns
// only HTTP.

import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ChainCheck } from '../change/change-log.ts';
import type { Overrides } from '../change/overrides.ts';
import type { Records } from '../change/records.ts';
import type { Accounts } from '../people/accounts.ts';
import type { Role } from '../people/roles.ts';
import type { Session, Sessions } from '../people/sessions.ts';
import type { Setup } from '../people/setup.ts';
import type { Action, Channel, TraceStep, Verdict } from '../policy/types.ts';
import type { ExplainTarget } from './explain-target.ts';
import type { SignInLimits } from './sign-in-limit.ts';

export type WebApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** Who makes a request. `session` is null for someone at the machine's own command line. */
export type Principal = {
  /** a username, or `local:<os user>` */
  readonly who: string;
  readonly role: Role;
  readonly session: Session | null;
};

/** For whom to explain; exactly one is set. `client` is an address, `id:` and a client id, or the name of a device. */
export type ExplainWho = {
  readonly group?: string;
  readonly class?: string;
  readonly user?: string;
  readonly client?: string;
};

/** Times are UTC ms; `from` is included, `to` is not. */
export type EventSearch = {
  readonly from?: number;
  readonly to?: number;
  readonly user?: string;
  readonly group?: string;
  readonly class?: string;
  readonly client?: string;
  readonly host?: string;
  readonly category?: string;
  readonly verdict?: Action;
  readonly channel?: Channel;
  readonly limit: number;
  readonly cursor?: string;
};

/** A row of the view `events`; `at` is UTC ms. */
export type EventItem = { readonly at: number };

/** A blocklist as the API shows it; more fields are passed on as they are. */
export type ListItem = {
  readonly name: string;
  readonly category: string;
  readonly sealed: boolean;
  readonly entries: number;
};

/** What a check of the audit log's chain found. */
export type BlocksCheck =
  | { readonly ok: true; readonly rows: number; readonly head: string }
  | { readonly ok: false; readonly detail: string };

export type Check = { readonly ok: boolean; readonly detail: string };

/** What one kind of thread, or one thread, did in the last minute, and since it began; shares are 0 to 1, null without any. */
export type DnsFigures = {
  readonly queriesPerSecond: number;
  readonly blockedShare: number | null;
  readonly cacheHitShare: number | null;
  readonly failedShare: number | null;
  readonly turnedAwayPerSecond: number;
  /** questions that wait for an upstream now */
  readonly waiting: number;
  /** since the thread began */
  readonly queries: number;
};

export type ProxyFigures = {
  readonly requestsPerSecond: number;
  readonly blockedShare: number | null;
  /** client connections open now */
  readonly connections: number;
  /** since the thread began */
  readonly requests: number;
};

export type OfThread = { readonly thread: string; readonly alive: boolean; readonly restarts: number };

/** The figures of a running gateway, for technicians: `limited` names clients. */
export type Figures = {
  /** what "the last minute" covers, less than 60 after a start */
  readonly seconds: number;
  readonly dns: DnsFigures & { readonly threads: readonly (OfThread & DnsFigures)[] };
  readonly proxy: ProxyFigures & { readonly threads: readonly (OfThread & ProxyFigures)[] };
  readonly upstreams: readonly {
    readonly name: string;
    readonly kind: 'udp' | 'tls' | 'https';
    /** whose names it is asked for; `.` stands for all others */
    readonly domain: string;
    readonly up: boolean;
    /** the threads that find it down */
    readonly downIn: readonly string[];
    /** why it failed last, and when; null when it never did */
    readonly trouble: { readonly reason: string; readonly at: number } | null;
    /** ms in the last minute; null without an answer */
    readonly p50Ms: number | null;
    readonly p95Ms: number | null;
    readonly queries: number;
    readonly failures: number;
    readonly spoofed: number;
  }[];
  /** who met the rate limit within the last hour; times are UTC ms */
  readonly limited: {
    readonly clients: number;
    readonly queries: number;
    readonly top: readonly {
      readonly client: string;
      readonly queries: number;
      readonly since: number;
      readonly last: number;
    }[];
  };
};

export type WebSettings = {
  /** names under which the gateway is asked, in lower case; addresses and `localhost` always are */
  readonly ownHosts: readonly string[];
  readonly school: string;
  readonly language: string;
  /** whether an address may read /metrics */
  readonly metricsAllowed: (address: string) => boolean;
  readonly signInLimits?: SignInLimits;
};

export type WebDeps = {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly setup: Pick<Setup, 'check' | 'complete'>;
  readonly overrides: Pick<Overrides, 'grant' | 'revoke' | 'get' | 'list'>;
  readonly localRecords: Pick<Records, 'add' | 'remove' | 'list'>;
  /** null when the policy has no such group or class */
  readonly explain: (
    target: ExplainTarget,
    who: ExplainWho,
    at: number,
  ) => Promise<Explained | null> | Explained | null;
  /** rejects with `code: 'bad-cursor'` or `'search-timeout'` when that is the reason */
  readonly events: {
    search(filter: EventSearch): Promise<{ items: readonly EventItem[]; next: string | null }>;
  };
  /** reads the whole chains of the change log and of the audit log; may take seconds */
  readonly verify: () => Promise<{ changes: ChainCheck; blocks: BlocksCheck }>;
  readonly lists: {
    all(): readonly ListItem[];
    lookup(name: string): readonly { list: ListItem; name: string }[];
  };
  /** Resolves when the overrides are in force in every thread; rejects when that takes longer than a second. */
  readonly applyOverrides: () => Promise<void>;
  /** The same for local records. */
  readonly applyRecords: () => Promise<void>;
  /** Makes every thread forget the answers of these names and all below them, or of all names; as `applyOverrides`. */
  readonly purgeDns: (names: readonly string[] | null) => Promise<void>;
  readonly health: () => Readonly<Record<string, Check>>;
  /** null when no gateway runs */
  readonly figures: () => Figures | null;
  /** Prometheus text */
  readonly metrics: () => Promise<string>;
  readonly now: () => number;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly settings: WebSettings;
  /** who stands behind a connection that is trusted as such (the control socket), asked before any credentials */
  readonly principalOf: (request: FastifyRequest) => { who: string; role: Role } | null;
};

export type Explained = {
  readonly verdict: Verdict;
  /** what DNS does with the name before the policy, in words */
  readonly dns: readonly string[];
  readonly trace: readonly TraceStep[];
};
