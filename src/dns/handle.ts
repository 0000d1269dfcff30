// One query, from packet to answer: what is malformed or unserved is turned away, policy decides, then the cache or an
// upstream answers. Policy comes before the cache, always. Sockets are the servers' business.

import type { Client, Decision, Engine, Reason, Verdict } from '../policy/types.ts';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import type { Exchange } from '../resolver/types.ts';
import { parseAddress } from '../policy/networks.ts';
import { createCache, type Kept } from './cache.ts';
import { createForwards } from './forwards.ts';
import { nameText, typeText } from './name-text.ts';
import { createRateLimit } from './rate-limit.ts';
import { relayReply, upstreamQuery } from './relay.ts';
import {
  BLOCK_TTL,
  EDE_BLOCKED,
  EDE_FILTERED,
  EDE_NETWORK_ERROR,
  EDE_NONE,
  EDE_NOT_READY,
  EDE_PROHIBITED,
  REPLY_ROOM,
  UDP_PAYLOAD,
  addressReply,
  anyReply,
  blockReply,
  errorReply,
  negativeReply,
  type BlockStyle,
  type PageAddresses,
} from './replies.ts';
import { createResponse, readResponse } from './response.ts';
import { specialName, type Special } from './special-names.ts';
import {
  CLASS_IN,
  NOERROR,
  NXDOMAIN,
  QUESTION,
  REFUSED,
  SERVFAIL,
  SILENCE,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_AXFR,
  TYPE_IXFR,
  createQuery,
  parseQuery,
  type Query,
} from './wire.ts';

export type DnsSettings = {
  readonly block: BlockStyle;
  /** the gateway's own addresses for `page` */
  readonly page: { readonly v4: string | null; readonly v6: string | null };
  /** networks that may ask; others are refused */
  readonly serve: readonly string[];
  /** queries a second from one address; 0 is no limit */
  readonly rateLimit: { readonly qps: number; readonly exempt: readonly string[] };
  /** names with upstreams of their own, each with all below it */
  readonly forward: Readonly<Record<string, Exchange>>;
};

export type DnsHandlerDeps = {
  readonly engine: Engine;
  readonly exchange: Exchange;
  readonly record: (decision: Decision) => void;
  /** UTC ms */
  readonly now: () => number;
  readonly settings: DnsSettings;
  /** any number; keys the cache so that nobody can aim at its places */
  readonly cacheSeed?: number;
};

export type DnsHandler = {
  /** Answers at once or later, or not at all. Never throws. `packet` may be used again as soon as this returns. */
  handle(
    packet: Uint8Array,
    length: number,
    clientAddress: string,
    transport: 'udp' | 'tcp',
    reply: (answer: Uint8Array) => void,
  ): void;
  stats(): Record<string, number>;
};

const CACHE_ENTRIES = 20_000;
const CACHE_BYTES = 16 << 20;
const LONGEST_TTL = 86_400;
/** Answers that may turn by themselves are forgotten by clients as soon as blocks are. */
const TRANSIENT_TTL = BLOCK_TTL;
const TCP_LIMIT = 65_535;
const LOOPBACK_V4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_V6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** Blocked by the school's or the group's rules for that name (15), or because the group may only have what is opened (17). */
const EDE_OF: Partial<Record<Reason, number>> = {
  'no-index': EDE_NOT_READY,
  'no-policy': EDE_NOT_READY,
  'internal-error': EDE_NOT_READY,
  'default-block': EDE_FILTERED,
  permission: EDE_FILTERED,
  nominated: EDE_FILTERED,
  timed: EDE_FILTERED,
  'identity-required': EDE_FILTERED,
  suspended: EDE_FILTERED,
};

function addressBytes(text: string | null): Uint8Array | null {
  const parsed = text === null ? null : parseAddress(text);
  if (parsed === null) return null;
  const size = parsed.family === 4 ? 4 : 16;
  const bytes = new Uint8Array(size);
  parsed.words.forEach((word, i) => {
    const width = size / parsed.words.length;
    for (let b = 0; b < width; b++) bytes[i * width + b] = (word >>> (8 * (width - 1 - b))) & 0xff;
  });
  return bytes;
}

/** The most that may go out in one reply: what the asker can take by UDP, never more than fits a path without fragments. */
function limitOf(query: Query, transport: 'udp' | 'tcp'): number {
  return transport === 'tcp' ? TCP_LIMIT : Math.min(query.udpSize, UDP_PAYLOAD);
}

export function createDnsHandler(deps: DnsHandlerDeps): DnsHandler {
  const { engine, record, now, settings } = deps;
  const page: PageAddresses = { v4: addressBytes(settings.page.v4), v6: addressBytes(settings.page.v6) };
  const served = compileNetworks(settings.serve);
  const exempt = compileNetworks(settings.rateLimit.exempt);
  const withinRate = createRateLimit(settings.rateLimit.qps);
  const forwards = createForwards(settings.forward);
  const cache = createCache({ maxEntries: CACHE_ENTRIES, maxBytes: CACHE_BYTES, seed: deps.cacheSeed ?? 0 });
  const query = createQuery();
  const response = createResponse();
  const counts = {
    queries: 0,
    blocked: 0,
    allowed: 0,
    cacheHits: 0,
    cacheMisses: 0,
    local: 0,
    malformed: 0,
    silent: 0,
    refused: 0,
    rateLimited: 0,
    upstreamFailed: 0,
    truncated: 0,
    errors: 0,
  };

  type Asked = {
    readonly startedAt: number;
    readonly client: Client;
    readonly verdict: Verdict;
    readonly bytesIn: number;
  };

  function note(packet: Uint8Array, asked: Asked, of: Query, verdict: Verdict, bytesOut: number): void {
    const { policy, index } = engine.generations;
    record({
      at: asked.startedAt,
      channel: 'dns',
      client: asked.client,
      host: nameText(packet, of),
      path: null,
      method: typeText(of.type),
      verdict,
      policyGeneration: policy,
      indexGeneration: index,
      bytesIn: asked.bytesIn,
      bytesOut,
      durationMs: Math.max(0, now() - asked.startedAt),
    });
  }

  const room = (of: Query): Buffer => Buffer.allocUnsafe(of.questionEnd + REPLY_ROOM);

  function error(packet: Uint8Array, of: Query, rcode: number, ede: number): Uint8Array {
    const out = room(of);
    return out.subarray(0, errorReply(out, 0, packet, of, rcode, ede));
  }

  function blocked(packet: Uint8Array, verdict: Verdict): Uint8Array {
    const out = room(query);
    // Names that exist to get round the filter look for one answer only: that there is no such name.
    const style = verdict.reason === 'bypass' ? 'nxdomain' : settings.block;
    const ede = EDE_OF[verdict.reason] ?? EDE_BLOCKED;
    return out.subarray(
      0,
      blockReply(out, 0, packet, query, style, page, ttlFor(verdict, BLOCK_TTL, now()), ede),
    );
  }

  function special(packet: Uint8Array, kind: NonNullable<Special>): Uint8Array {
    const out = room(query);
    const address = query.type === TYPE_A ? LOOPBACK_V4 : query.type === TYPE_AAAA ? LOOPBACK_V6 : null;
    if (kind === 'loopback' && address !== null) {
      return out.subarray(0, addressReply(out, 0, packet, query, address, BLOCK_TTL, EDE_NONE));
    }
    const rcode = kind === 'nowhere' ? NXDOMAIN : NOERROR;
    return out.subarray(0, negativeReply(out, 0, packet, query, rcode, BLOCK_TTL, EDE_NONE));
  }

  function relay(packet: Uint8Array, of: Query, kept: Kept, verdict: Verdict, limit: number): Uint8Array {
    const answer = relayReply(packet, of, kept, now(), ttlFor(verdict, LONGEST_TTL, now()), limit);
    if (((answer[2] as number) & 2) !== 0) counts.truncated++;
    return answer;
  }

  /** The upstream's answer made ready to relay, and kept when it may be; null when it is no use to anyone. */
  function take(packet: Uint8Array, of: Query, answer: Uint8Array): Kept | null {
    if (!readResponse(answer, answer.length, response) || response.questionEnd !== of.questionEnd)
      return null;
    const at = now();
    const kept = {
      bytes: answer.subarray(0, response.end),
      ttlAt: response.ttlAt.slice(0, response.ttls),
      additionals: response.additionals,
      extended: response.extended,
      since: at,
      until: at + response.keep * 1000,
      variant: 0,
    };
    // A cut answer is passed on, so that the asker comes back by TCP, but is not kept.
    if (response.keep > 0 && (response.flags & 0x0200) === 0) cache.put(packet, of, kept);
    return kept;
  }

  async function askUpstream(
    packet: Uint8Array,
    of: Query,
    asked: Asked,
    limit: number,
    reply: (answer: Uint8Array) => void,
  ): Promise<void> {
    let answer: Uint8Array;
    let { verdict } = asked;
    try {
      const exchange = forwards.find(packet, of) ?? deps.exchange;
      const kept = take(packet, of, await exchange.query(upstreamQuery(packet, of)));
      if (kept === null) throw new Error('the upstream sent an answer that cannot be read');
      answer = relay(packet, of, kept, verdict, limit);
    } catch {
      counts.upstreamFailed++;
      verdict = { ...verdict, action: 'error', reason: 'upstream', rule: 'no upstream gave an answer' };
      answer = error(packet, of, SERVFAIL, EDE_NETWORK_ERROR);
    }
    reply(answer);
    note(packet, asked, of, verdict, answer.length);
  }

  function answerQuery(
    packet: Uint8Array,
    length: number,
    clientAddress: string,
    transport: 'udp' | 'tcp',
    reply: (answer: Uint8Array) => void,
  ): void {
    counts.queries++;
    const problem = parseQuery(packet, length, query);
    if (problem === SILENCE) {
      counts.silent++;
      return;
    }
    if (!matchesNetworks(clientAddress, served)) {
      counts.refused++;
      return reply(error(packet, query, REFUSED, EDE_PROHIBITED));
    }
    const startedAt = now();
    if (!withinRate(clientAddress, startedAt) && !matchesNetworks(clientAddress, exempt)) {
      counts.rateLimited++;
      return reply(error(packet, query, REFUSED, EDE_PROHIBITED));
    }
    if (problem !== 0) {
      counts.malformed++;
      return reply(error(packet, query, problem, EDE_NONE));
    }
    if (query.class !== CLASS_IN || query.type === TYPE_AXFR || query.type === TYPE_IXFR) {
      counts.refused++;
      return reply(error(packet, query, REFUSED, EDE_NONE));
    }
    const client = engine.client(clientAddress);
    const verdict = engine.decideWire(packet, QUESTION, client, startedAt);
    const asked: Asked = { startedAt, client, verdict, bytesIn: length };
    if (verdict.action !== 'allow') {
      counts.blocked++;
      const answer = blocked(packet, verdict);
      reply(answer);
      return note(packet, asked, query, verdict, answer.length);
    }
    counts.allowed++;
    const kind = forwards.find(packet, query) === null ? specialName(packet, query) : null;
    if (kind !== null || query.type === TYPE_ANY) {
      counts.local++;
      const answer = kind !== null ? special(packet, kind) : any(packet);
      reply(answer);
      return note(packet, asked, query, verdict, answer.length);
    }
    const limit = limitOf(query, transport);
    const kept = cache.get(packet, query, startedAt);
    if (kept !== null) {
      counts.cacheHits++;
      const answer = relay(packet, query, kept, verdict, limit);
      reply(answer);
      return note(packet, asked, query, verdict, answer.length);
    }
    counts.cacheMisses++;
    // The packet and the struct belong to the next query once this returns.
    void askUpstream(packet.slice(0, length), { ...query }, asked, limit, reply);
  }

  function any(packet: Uint8Array): Uint8Array {
    const out = room(query);
    return out.subarray(0, anyReply(out, 0, packet, query, LONGEST_TTL));
  }

  return {
    handle(packet, length, clientAddress, transport, reply) {
      try {
        answerQuery(packet, length, clientAddress, transport, reply);
      } catch {
        // Nothing above throws on foreign bytes; a fault of our own must not end the thread, nor let the query through.
        counts.errors++;
      }
    },
    stats: () => {
      const { entries, bytes } = cache.size();
      return { ...counts, cacheEntries: entries, cacheBytes: bytes };
    },
  };
}

/** Seconds a client may keep an answer: at most `most`, ten for a verdict that can turn, and never past the turn itself. */
function ttlFor(verdict: Verdict, most: number, at: number): number {
  if (verdict.until === null) return most;
  return Math.max(0, Math.min(most, TRANSIENT_TTL, Math.floor((verdict.until - at) / 1000)));
}
