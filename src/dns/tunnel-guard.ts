// Finds data carried in DNS: many long or made-up names, or heavy record types, under one domain of one client; and clients
// that ask for a great many domains that nobody here asked for before. Judged on cache misses only, as a tunnel never asks
// the same twice. Memory is bounded, time is an argument, and of names nothing is kept but hashes and counts.

import { QUESTION, type Query } from './wire.ts';

export type TunnelGuardDeps = {
  readonly action: 'limit' | 'log' | 'off';
  /** canonical names, each with all below it, that are never judged */
  readonly exempt: readonly string[];
  /** a secret, so that nobody can choose names that are counted as one */
  readonly seed: number;
};

type Pace = 'pass' | 'flag' | 'limit';

export type TunnelGuard = {
  /**
   * Judges a query that the cache could not answer. `flag` when something is odd, once in each window; `limit` when it is
   * too much: then the query must not leave. With `action: log` there is no `limit`.
   */
  judge(packet: Uint8Array, query: Query, asker: string, at: number): Pace;
  stats(): Record<string, number>;
};

const MINUTE = 60_000;
/** A domain's counts begin anew after this time; what was too much stays limited for as long. */
const WINDOW = 10 * MINUTE;

/** Of one client under one domain in a window: names that carry something, their bytes, and queries of heavy types. */
const FLAG = { names: 150, bytes: 6_000, heavy: 200 };
const LIMIT = { names: 300, bytes: 12_000, heavy: 500 };
/** Domains new to this gateway, of one client in a minute. */
const FLAG_NEW = 300;
const LIMIT_NEW = 900;

/** How many are watched, in each of two generations. */
const CLIENTS = 4_096;
const PAIRS = 8_192;
/** Bits of the set of names that a pair has asked for, and of a generation of the domains seen. */
const NAME_BITS = 1_024;
const DOMAIN_BITS = 2 ** 20;
const DOMAINS = 80_000;

/** Fewer bytes before the domain carry little; from `LONG` on they carry something whatever they look like. */
const SHORT = 12;
const LONG = 40;
/** Changes between letter and digit from which a label looks made up. */
const CHANGES = 4;
/** NULL, TXT, SIG, KEY and the private range: types that tunnels choose for the size of their answers. */
const HEAVY: ReadonlySet<number> = new Set([10, 16, 24, 25]);
const PRIVATE_TYPES = 65_280;
const TYPE_PTR = 12;

/** Second labels that make a public suffix with the label of a country: co.uk, com.au, ac.nz. */
const SECOND_LABELS: ReadonlySet<string> = new Set(
  'ac co com edu gob gouv gov go ltd mil ne net nhs or org plc sch'.split(' '),
);

/**
 * Names whose business it is to carry data: the checks of anti-virus software and mail servers, and networks
 * with a long name for every machine, below which nobody else runs a name server.
 */
const CARRIERS = [
  'sophosxl.net',
  'sophosxl.com',
  'avts.mcafee.com',
  'avqs.mcafee.com',
  'e5.sk',
  'ff.avast.com',
  'cymru.com',
  'spamhaus.org',
  'spamhaus.net',
  'spamcop.net',
  'barracudacentral.org',
  'sorbs.net',
  'surbl.org',
  'uribl.com',
  'mailspike.net',
  'dnswl.org',
  'senderbase.org',
  'safeframe.googlesyndication.com',
  'googlevideo.com',
  'cloudfront.net',
  'amazonaws.com',
  'office.net',
];

/** What one client asked under one domain. */
type Pair = {
  since: number;
  names: number;
  bytes: number;
  heavy: number;
  limitedUntil: number;
  flagged: boolean;
  readonly exempt: boolean;
  readonly seen: Uint32Array;
};

type Asking = { minute: number; fresh: number; flagged: boolean };

export function createTunnelGuard(deps: TunnelGuardDeps): TunnelGuard {
  const { action } = deps;
  const exempt = new Set([...CARRIERS, ...deps.exempt]);
  const most = Math.max(...[...exempt].map((name) => name.split('.').length));
  const pairs = createGenerations<Pair>(PAIRS);
  const askers = createGenerations<Asking>(CLIENTS);
  let domains = new Uint32Array(DOMAIN_BITS / 32);
  let olderDomains = new Uint32Array(DOMAIN_BITS / 32);
  let domainsIn = 0;
  /** when the last of all limits ends */
  let lastLimit = 0;
  // where the labels of the name at hand begin
  const starts = new Uint16Array(128);
  const counts = { tunnel_judged: 0, tunnel_flagged: 0, tunnel_limited: 0 };

  const isExempt = (packet: Uint8Array, labels: number, nameEnd: number): boolean => {
    for (let first = Math.max(0, labels - most); first < labels; first++)
      if (exempt.has(textOf(packet, starts[first] as number, nameEnd - 1))) return true;
    return false;
  };

  const pairOf = (key: string, packet: Uint8Array, { labels, nameEnd }: Query, at: number): Pair => {
    let pair = pairs.get(key);
    if (pair === undefined) {
      pair = {
        since: at,
        names: 0,
        bytes: 0,
        heavy: 0,
        limitedUntil: -Infinity,
        flagged: false,
        exempt: isExempt(packet, labels, nameEnd),
        seen: new Uint32Array(NAME_BITS / 32),
      };
      pairs.set(key, pair);
    }
    if (at - pair.since >= WINDOW || at < pair.since) {
      pair.since = at;
      pair.names = pair.bytes = pair.heavy = 0;
      pair.flagged = false;
      pair.seen.fill(0);
    }
    return pair;
  };

  const judgeName = (
    packet: Uint8Array,
    query: Query,
    below: number,
    domain: number,
    asker: string,
    at: number,
  ): Pace => {
    const first = starts[below] as number;
    const carried = carriedBytes(packet, starts, below, first);
    const isHeavy = HEAVY.has(query.type) || query.type >= PRIVATE_TYPES;
    // Nearly every name carries nothing, and such a one is never limited: a domain that data is carried under has a site too.
    if (carried === 0 && !isHeavy) return 'pass';
    if (at < lastLimit && at < (pairs.get(`${asker} ${domain}`)?.limitedUntil ?? 0)) return 'limit';
    if (query.type === TYPE_PTR && isReverse(packet, starts, query.labels)) return 'pass';
    const pair = pairOf(`${asker} ${domain}`, packet, query, at);
    if (pair.exempt) return 'pass';
    if (isHeavy) pair.heavy++;
    const bit = hashBytes(packet, QUESTION, first, deps.seed) % NAME_BITS;
    // a name asked for again when its time ran out carries nothing new
    if (carried > 0 && !hasBit(pair.seen, bit)) {
      setBit(pair.seen, bit);
      pair.names++;
      pair.bytes += carried;
    }
    if (action === 'limit' && isOver(pair, LIMIT)) {
      pair.limitedUntil = lastLimit = at + WINDOW;
      return 'limit';
    }
    if (pair.flagged || !isOver(pair, FLAG)) return 'pass';
    pair.flagged = true;
    return 'flag';
  };

  const judgeDomain = (domain: number, asker: string, at: number): Pace => {
    const a = domain % DOMAIN_BITS;
    const b = (Math.imul(domain, 0xc2b2ae35) >>> 0) % DOMAIN_BITS;
    if (hasBit(domains, a) && hasBit(domains, b)) return 'pass';
    const isKnown = hasBit(olderDomains, a) && hasBit(olderDomains, b);
    let asking = askers.get(asker);
    if (asking === undefined) {
      asking = { minute: -1, fresh: 0, flagged: false };
      askers.set(asker, asking);
    }
    const minute = Math.floor(at / MINUTE);
    if (asking.minute !== minute) {
      asking.minute = minute;
      asking.fresh = 0;
      asking.flagged = false;
    }
    // what is turned away is still new when it comes again
    if (!isKnown && asking.fresh >= LIMIT_NEW && action === 'limit') return 'limit';
    if (domainsIn >= DOMAINS) {
      [domains, olderDomains] = [olderDomains.fill(0), domains];
      domainsIn = 0;
    }
    setBit(domains, a);
    setBit(domains, b);
    domainsIn++;
    if (isKnown || ++asking.fresh <= FLAG_NEW || asking.flagged) return 'pass';
    asking.flagged = true;
    return 'flag';
  };

  return {
    judge(packet, query, asker, at) {
      const { labels, nameEnd } = query;
      if (action === 'off' || labels < 2) return 'pass';
      counts.tunnel_judged++;
      let place = QUESTION;
      for (let label = 0; label < labels; label++) {
        starts[label] = place;
        place += (packet[place] as number) + 1;
      }
      const below = labels - domainLabels(packet, starts, labels);
      const domain = hashBytes(packet, starts[below] as number, nameEnd, deps.seed);
      const byName = judgeName(packet, query, below, domain, asker, at);
      const pace = byName === 'pass' ? judgeDomain(domain, asker, at) : byName;
      if (pace === 'flag') counts.tunnel_flagged++;
      else if (pace === 'limit') counts.tunnel_limited++;
      return pace;
    },
    stats: () => ({ ...counts }),
  };
}

function isOver(pair: Pair, most: { names: number; bytes: number; heavy: number }): boolean {
  return pair.names > most.names || pair.bytes > most.bytes || pair.heavy > most.heavy;
}

/** How many of the last labels are the domain that somebody registered, near enough: two, or three as in example.co.uk. */
function domainLabels(packet: Uint8Array, starts: Uint16Array, labels: number): number {
  if (labels < 3 || packet[starts[labels - 1] as number] !== 2) return 2;
  const second = starts[labels - 2] as number;
  const size = packet[second] as number;
  return size <= 4 && SECOND_LABELS.has(textOf(packet, second, second + size + 1)) ? 3 : 2;
}

/** Bytes that the labels before the domain carry, 0 when they look like a name that somebody thought of. */
function carriedBytes(packet: Uint8Array, starts: Uint16Array, below: number, end: number): number {
  const bytes = end - QUESTION - below;
  if (bytes >= LONG) return bytes;
  if (bytes < SHORT) return 0;
  for (let label = 0; label < below; label++) if (looksMadeUp(packet, starts[label] as number)) return bytes;
  return 0;
}

/** Whether a name is the reverse of an address, whole or in part: numbers below in-addr.arpa, single digits below ip6.arpa. */
function isReverse(packet: Uint8Array, starts: Uint16Array, labels: number): boolean {
  if (labels < 2) return false;
  const root = starts[labels - 1] as number;
  const zone = textOf(packet, starts[labels - 2] as number, root + 1 + (packet[root] as number));
  const most = zone === 'in-addr.arpa' ? 3 : zone === 'ip6.arpa' ? 1 : 0;
  for (let label = 0; label < labels - 2; label++) {
    const at = starts[label] as number;
    const size = packet[at] as number;
    if (size > most) return false;
    for (let i = at + 1; i <= at + size; i++) {
      const byte = (packet[i] as number) | 0x20;
      const isDigit = byte >= 0x30 && byte <= 0x39;
      if (!isDigit && !(most === 1 && byte >= 0x61 && byte <= 0x66)) return false;
    }
  }
  return most > 0;
}

/** Letters and digits in turns, or bytes that no host name has. */
function looksMadeUp(packet: Uint8Array, at: number): boolean {
  const size = packet[at] as number;
  if (size < SHORT) return false;
  let changes = 0;
  let last = 0;
  for (let i = at + 1; i <= at + size; i++) {
    const byte = packet[i] as number;
    const kind = byte >= 0x30 && byte <= 0x39 ? 1 : (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a ? 2 : 0;
    if (kind === 0 && byte !== 0x2d && byte !== 0x5f) return true;
    if (kind + last === 3) changes++;
    last = kind;
  }
  return changes >= CHANGES;
}

/** Labels from the length byte at `from` up to `to`, in lower case, with dots. */
function textOf(packet: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to;) {
    const end = at + 1 + (packet[at] as number);
    if (at > from) text += '.';
    while (++at < end) text += String.fromCharCode(fold(packet[at] as number));
  }
  return text;
}

function hashBytes(packet: Uint8Array, from: number, to: number, seed: number): number {
  let hash = seed | 0;
  for (let i = from; i < to; i++) {
    hash = Math.imul(hash ^ fold(packet[i] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** A length byte is at most 63, so folding every byte of a name harms none of them. */
function fold(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function hasBit(set: Uint32Array, bit: number): boolean {
  return ((set[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
}

function setBit(set: Uint32Array, bit: number): void {
  set[bit >>> 5] = (set[bit >>> 5] as number) | (1 << (bit & 31));
}

/** Entries in two generations: what is used moves to the newer one, and the older one is dropped when that is full. */
function createGenerations<T>(size: number) {
  let recent = new Map<string, T>();
  let older = new Map<string, T>();
  const put = (key: string, value: T): void => {
    if (recent.size >= size) {
      older = recent;
      recent = new Map();
    }
    recent.set(key, value);
  };
  return {
    get(key: string): T | undefined {
      const value = recent.get(key);
      if (value !== undefined) return value;
      const aged = older.get(key);
      if (aged !== undefined) put(key, aged);
      return aged;
    },
    set: put,
  };
}
