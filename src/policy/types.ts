// The words of the policy room, shared by every room above it. Types and frozen codes only: no behaviour.

import type { BlockIndex, ListInfo, NameHashes, Seed } from '../blocklist/types.ts';

export type Channel = 'dns' | 'http' | 'connect' | 'tls' | 'web';

export type Action = 'block' | 'allow' | 'rewrite' | 'portal' | 'error';

/** Why a verdict came out as it did. Frozen: scripts and the audit log rely on these codes. */
export type Reason =
  | 'illegal' // step 1: a sealed list holds the name
  | 'direct-ip' // step 2: asked for by address, not by name
  | 'bypass' // step 2: a name that exists to get round the filter
  | 'suspended' // step 3
  | 'identity-required' // step 4
  | 'override' // step 7
  | 'local-allow' // step 8
  | 'local-deny' // step 8
  | 'unacceptable' // step 9, by the rating that decided
  | 'permission'
  | 'nominated'
  | 'timed'
  | 'unrated' // step 9: a category the group says nothing of
  | 'acceptable' // step 9: listed, and every category is open to this group now
  | 'default-allow' // step 10
  | 'default-block'
  | 'safe-search' // a search engine or video site: rewritten to its safe form, or blocked because it has none
  | 'tunnel' // a name or a volume that looks like data carried in DNS
  | 'no-index' // fail closed: nothing to decide with
  | 'no-policy'
  | 'internal-error'
  | 'private-address' // the proxy's own refusals
  | 'port'
  | 'upstream'
  | 'malformed';

export type RatingKind = 'acceptable' | 'timed' | 'nominated' | 'permission' | 'unacceptable' | 'illegal';

export type Rating =
  | { readonly kind: 'acceptable' | 'permission' | 'unacceptable' | 'illegal' }
  | { readonly kind: 'timed'; readonly timetables: readonly string[] }
  | { readonly kind: 'nominated'; readonly users: readonly string[] };

export type Weekday = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun';

/** A weekly slot on the school's own clock; minutes from midnight, `from` included, `to` not. `to <= from` runs past midnight. */
export type TimetableSlot = { readonly days: readonly Weekday[]; readonly from: number; readonly to: number };

export type Suspension = { readonly until: number | null; readonly reason: string };

/** How far search engines and video sites are held to their safe form. */
export type SafeLevel = 'strict' | 'moderate' | 'off';

/** A group as policy.yaml declares it, before `extends` is followed. Absent means: what the parent says. */
export type GroupModel = {
  readonly label: string;
  readonly extends?: string;
  readonly identity?: 'network' | 'class';
  readonly default?: 'allow' | 'block';
  readonly ratings: Readonly<Record<string, Rating>>;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** what an internal error means for this group */
  readonly fail?: 'closed' | 'last-good';
  /** a page asked for by address instead of by name */
  readonly directIp?: 'allow' | 'block';
  /** names of public resolvers and relays that get round the filter */
  readonly bypass?: 'allow' | 'block';
  /** search engines in their safe form; those that have none are closed to `strict` */
  readonly safeSearch?: SafeLevel;
  /** YouTube in restricted mode */
  readonly video?: SafeLevel;
  /** what is done with HTTPS and SVCB records, which can hide the name of a site from the proxy */
  readonly httpsRecords?: 'strip' | 'deny';
  readonly suspended?: Suspension;
};

export type ClientModel = {
  readonly name: string;
  /** addresses, networks and client ids, as written: `10.2.0.7`, `10.2.0.0/24`, `2001:db8::/48`, `id:tablet-7` */
  readonly match: readonly string[];
  readonly group: string;
  readonly class?: string;
  readonly suspended?: Suspension;
};

/** A whole policy as plain data: what a revision holds and what main sends to the data threads. */
export type PolicyModel = {
  readonly timezone: string;
  readonly timetables: Readonly<Record<string, readonly TimetableSlot[]>>;
  readonly groups: Readonly<Record<string, GroupModel>>;
  readonly clients: readonly ClientModel[];
  /** the group of every client that no entry matches */
  readonly unknown: string;
  /** the school's own lists, wider than any group's */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
};

/** A grant in force: what it opens, for whom, and until when. Times are UTC milliseconds. */
export type Override = {
  readonly id: string;
  /** canonical names; each opens itself and what is below it */
  readonly names: readonly string[];
  /** any of these is enough; a group stands for those that extend it too; an empty scope opens nothing */
  readonly scope: {
    readonly groups: readonly string[];
    readonly classes: readonly string[];
    readonly users: readonly string[];
  };
  readonly from: number;
  readonly until: number;
};

/** Who is asking, as far as the gateway knows. One object per known client, reused; `group` is a name in the policy. */
export type Client = {
  readonly address: string;
  /** the name of the `clients` entry that matched, or null */
  readonly device: string | null;
  readonly group: string;
  /** null: not identified by class; '' only in a client made up for `explain`: identified, of no class in particular */
  readonly class: string | null;
  readonly user: string | null;
  readonly inCharge: string | null;
};

export type Verdict = {
  readonly action: Action;
  readonly reason: Reason;
  readonly category: string | null;
  readonly rating: RatingKind | null;
  /** what decided, in words a technician can find again: `deny example.com (ks1)`, `unknown names are blocked` */
  readonly rule: string;
  /** the blocklist that decided, if one did */
  readonly list: string | null;
  readonly group: string;
  readonly overrideId: string | null;
  /** `rewrite`: the canonical name whose addresses are given instead (safe search); otherwise null */
  readonly target: string | null;
  /** UTC ms at which this verdict may turn by itself; null when only a change can turn it */
  readonly until: number | null;
};

/** One line of the trace: `step` is the number in the order of decisions (1 to 10; 11 is what follows an allow). */
export type TraceStep = {
  readonly step: number;
  readonly title: string;
  readonly outcome: 'passed' | 'decided';
  readonly detail: string;
};

/** A query with its verdict, as a data thread reports it and the audit room writes it. */
export type Decision = {
  /** UTC ms */
  readonly at: number;
  readonly channel: Channel;
  readonly client: Client;
  /** canonical name or address asked for; never a full URL */
  readonly host: string;
  readonly path: string | null;
  /** DNS type (`A`, `TYPE65280`) or HTTP method */
  readonly method: string;
  readonly verdict: Verdict;
  readonly policyGeneration: number;
  readonly indexGeneration: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  /** how many like it this stands for; 1 when left out */
  readonly count?: number;
  /** the end of what was told when it began: its bytes and time are added and nothing is counted again */
  readonly more?: boolean;
};

/**
 * Takes note of a DNS decision without a record for each: the same name, client and verdict are counted together. The
 * name is its 64-bit hash (`lo`, `hi`, as the index hashes it), and `host` is asked for its text only when that is
 * needed, before the call returns. `type` is the question's, `at` UTC ms. Never throws unless `host` does.
 */
export type DnsNote = (
  lo: number,
  hi: number,
  client: Client,
  verdict: Verdict,
  type: number,
  at: number,
  bytesIn: number,
  bytesOut: number,
  durationMs: number,
  host: () => string,
) => void;

/** What a group is given beside verdicts. `serviceRecords`: HTTPS and SVCB records without their `ech`, or none at all. */
export type Traits = { readonly serviceRecords: 'strip' | 'deny' };

/** Numbers that grow with each change; a verdict can be traced to the policy and index it came from. */
export type Generations = { readonly policy: number; readonly index: number; readonly overrides: number };

/**
 * The seam that DNS, proxy and web decide through: the policy, index and overrides in force in this thread.
 * `decide*` never throws: an internal error is answered by the group's `fail` setting.
 */
export type Engine = {
  setIndex(index: BlockIndex, generation: number): void;
  setPolicy(model: PolicyModel, generation: number): void;
  setOverrides(overrides: readonly Override[], generation: number): void;
  readonly generations: Generations;
  /** both an index and a policy are in force */
  ready(): boolean;
  /** who an address or the client id of a DoT or DoH device is; the same object for the same while the policy stands */
  client(address: string, clientId?: string | null): Client;
  /** grows with every change of what is in force; clients and profiles of another epoch are to be asked for anew */
  readonly epoch: number;
  /** the secret that names are hashed with; another one only in another epoch */
  readonly seed: Seed;
  /** hashes of the name that `hash` read last */
  readonly hashes: NameHashes;
  /** hashes an uncompressed name in wire form into `hashes`; the offset after it, or -1 when it is malformed */
  hash(packet: Uint8Array, nameOffset: number): number;
  /** a number that two clients share when every decision is the same for both, within an epoch */
  profile(client: Client): number;
  /** DNS hot path: decides on the name in `hashes`; `profile` is the client's */
  decideHashed(profile: number, client: Client, now: number): Verdict;
  /** a name in wire form, uncompressed */
  decideWire(packet: Uint8Array, nameOffset: number, client: Client, now: number): Verdict;
  /** what DNS does for this client's group beside deciding names */
  traits(client: Client): Traits;
  /** a canonical name or an IP literal without brackets */
  decideHost(host: string, client: Client, now: number, channel: Channel): Verdict;
  /** whether any list holds addresses, so that it is worth asking `decideAddress` */
  hasAddressLists(): boolean;
  /** an address (4 or 16 bytes) that an answer leads to; null when no list holds it. Leaves `hashes` alone */
  decideAddress(bytes: Uint8Array, client: Client, now: number): Verdict | null;
  explain(
    host: string,
    client: Client,
    now: number,
    channel: Channel,
  ): { verdict: Verdict; trace: TraceStep[] };
  /** the lists that hold a name, with the entry that matched */
  lists(host: string): { list: ListInfo; name: string }[];
  /** a client made up for `explain`; null when the policy has no such group or class */
  clientFor(who: { group?: string; class?: string; user?: string }): Client | null;
  model(): PolicyModel | null;
};
