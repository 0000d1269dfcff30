// The way of a DNS query: read, admitted, decided by the policy, answered from the cache or by an upstream, recorded. Blocks
// and cached answers are given before `handle` returns. Bytes are written in replies.ts and relay.ts.

import type { Client, Decision, Engine, Verdict } from '../policy/types.ts';
import { createRoutes } from '../resolver/routing.ts';
import type { Exchange } from '../resolver/types.ts';
import { createGate } from './admission.ts';
import type { Admission } from './admission.ts';
import { createAnswerCache } from './cache.ts';
import type { Entry } from './cache.ts';
import { createFetcher } from './fetch.ts';
import {
  blockError,
  chainVerdict,
  failedVerdict,
  guardVerdict,
  pageAddresses,
  specialVerdict,
  ttlUnder,
} from './policy-answers.ts';
import { createQuestionText, typeName } from './question-text.ts';
import { createRebindingGuard } from './rebinding.ts';
import { RELAY_ROOM, relayReply } from './relay.ts';
import {
  BLOCK_TTL,
  EDE_NONE,
  EDE_NOT_READY,
  EDE_PROHIBITED,
  EDE_STALE,
  REPLY_ROOM,
  UDP_PAYLOAD,
  anyReply,
  blockReply,
  errorReply,
  truncatedReply,
} from './replies.ts';
import { createReplyMemory } from './reply-memory.ts';
import { specialAnswer, specialReply } from './special-names.ts';
import type { SpecialAnswer } from './special-names.ts';
import type { Asker, DnsHandler, DnsSettings, Later, Transport } from './types.ts';
import {
  NOERROR,
  QUESTION,
  REFUSED,
  SERVFAIL,
  SILENCE,
  TYPE_ANY,
  createQuery,
  parseQuery,
  refusalOf,
} from './wire.ts';

export type { DnsHandler, DnsSettings } from './types.ts';

export type DnsHandlerDeps = {
  readonly engine: Engine;
  readonly exchange: Exchange;
  /** hears of every query that was decided; must be quick, and what it throws is counted and dropped */
  readonly record: (decision: Decision) => void;
  /** UTC ms */
  readonly now: () => number;
  readonly settings: DnsSettings;
  readonly cache?: { readonly maxEntries: number; readonly maxBytes: number };
};

type Reply = (answer: Uint8Array) => void;

/** A query on its way: what every answer to it needs. */
type Turn = {
  readonly packet: Uint8Array;
  readonly length: number;
  readonly address: string;
  readonly transport: Transport;
  readonly reply: Reply;
  readonly startedAt: number;
};

const CACHE_LIMITS = { maxEntries: 50_000, maxBytes: 24 * 1024 * 1024 };
const MAX_TTL = 0x7fffffff;
const STALE_TTL = 10;
const ANY_TTL = 3600;

/** Throws an Error that names the entry when a network or address of the settings cannot be read. */
export function createDnsHandler(deps: DnsHandlerDeps): DnsHandler {
  const { engine, settings, now } = deps;
  const gate = createGate(settings);
  const page = pageAddresses(settings.page);
  const portalStyle = page.v4 !== null || page.v6 !== null ? 'page' : settings.block;
  const routes = createRoutes(settings.forward);
  const cache = createAnswerCache(deps.cache ?? CACHE_LIMITS);
  const fetcher = createFetcher({ cache, now, guard: createRebindingGuard(settings.allowPrivate) });
  const memory = createReplyMemory();
  // Read again for every packet, and once more when an upstream's answer comes.
  const query = createQuery();
  const text = createQuestionText();
  let replied = false;
  let waits = false;
  const counts = {
    queries: 0,
    silent: 0,
    malformed: 0,
    unserved: 0,
    limited: 0,
    dropped: 0,
    refused: 0,
    special: 0,
    blocked: 0,
    cached: 0,
    stale: 0,
    forwarded: 0,
    refreshed: 0,
    failed: 0,
    truncated: 0,
    errors: 0,
    unrecorded: 0,
  };

  function handle(
    packet: Uint8Array,
    length: number,
    { address }: Asker,
    transport: Transport,
    out: Uint8Array,
    later: Later,
  ): number {
    counts.queries++;
    replied = false;
    let written = 0;
    let reply: Reply = (answer) => {
      out.set(answer);
      written = answer.length;
    };
    const turn: Turn = {
      packet,
      length,
      address,
      transport,
      reply: (answer) => reply(answer),
      startedAt: now(),
    };
    waits = false;
    try {
      take(turn);
    } catch {
      giveUp(turn);
    }
    if (waits) reply = later();
    return written;
  }

  /** After an error of our own: SERVFAIL if that is still possible, never an unfiltered answer. */
  function giveUp(turn: Turn): void {
    counts.errors++;
    if (replied) return;
    try {
      if (parseQuery(turn.packet, turn.length, query) !== SILENCE) sendError(turn, SERVFAIL, EDE_NOT_READY);
    } catch {
      // Silence is all that is left; the client asks again.
    }
  }

  function take(turn: Turn): void {
    const { packet, length, address, startedAt } = turn;
    const fault = parseQuery(packet, length, query);
    if (fault === SILENCE) {
      counts.silent++;
      return;
    }
    // Before anything that costs: malformed packets use up a client's rate like all others.
    const admission = gate.admit(address, startedAt);
    if (admission !== 'served') {
      turnAway(turn, admission);
      return;
    }
    if (fault !== 0) {
      counts.malformed++;
      sendError(turn, fault, EDE_NONE);
      return;
    }
    const refusal = refusalOf(query);
    if (refusal !== NOERROR) {
      counts.refused++;
      sendError(turn, refusal, EDE_NONE);
      return;
    }

    const client = engine.client(address);
    text.read(packet, query);
    const host = text.host();
    const special = specialAnswer(packet, query);
    if (special !== null && routes.find(host) === null) {
      answerSpecial(turn, client, host, special);
      return;
    }
    const verdict = engine.decideWire(packet, QUESTION, client, startedAt);
    if (verdict.action !== 'allow') {
      block(turn, client, host, verdict, startedAt);
      return;
    }
    if (query.type === TYPE_ANY) {
      const at = memory.room(query.questionEnd + REPLY_ROOM);
      finish(
        turn,
        client,
        host,
        verdict,
        startedAt,
        anyReply(memory.bytes(), at, packet, query, ttlUnder(verdict, startedAt, ANY_TTL)),
      );
      return;
    }
    const key = text.key();
    const entry = cache.get(key, startedAt);
    if (entry !== null && entry.freshUntil > startedAt) {
      counts.cached++;
      give(turn, client, host, verdict, entry, startedAt);
      return;
    }
    const route = routes.find(host);
    // The upstreams failed a moment ago: the stale answer now, and a fresh one in the background when it is time.
    if (entry !== null && entry.retryAt > 0) {
      if (entry.retryAt <= startedAt) {
        counts.refreshed++;
        entry.retryAt = startedAt + 1000;
        void fetcher.fetch({
          key,
          host,
          packet,
          query,
          exchange: route ?? deps.exchange,
          inside: route !== null,
        });
      }
      give(turn, client, host, verdict, entry, startedAt);
      return;
    }
    counts.forwarded++;
    waits = true;
    const kept: Turn = { ...turn, packet: new Uint8Array(packet.subarray(0, length)) };
    void fetcher
      .fetch({ key, host, packet, query, exchange: route ?? deps.exchange, inside: route !== null })
      .then((fetched) => resume(kept, host, fetched));
  }

  function turnAway(turn: Turn, admission: Exclude<Admission, 'served'>): void {
    if (admission === 'refused') counts.unserved++;
    else if (admission === 'over') counts.limited++;
    else counts.dropped++;
    // A true client comes back by TCP, a made-up sender address cannot. By TCP every query gets its answer.
    if (turn.transport !== 'udp' || admission === 'refused') sendError(turn, REFUSED, EDE_PROHIBITED);
    else if (admission === 'over') sendTruncated(turn);
  }

  /** An upstream's answer is there. The policy is asked again: it may have changed in the meantime. */
  function resume(turn: Turn, host: string, entry: Entry): void {
    replied = false;
    try {
      const at = now();
      parseQuery(turn.packet, turn.length, query);
      const client = engine.client(turn.address);
      const verdict = engine.decideWire(turn.packet, QUESTION, client, at);
      if (verdict.action === 'allow') give(turn, client, host, verdict, entry, at);
      else block(turn, client, host, verdict, at);
    } catch {
      giveUp(turn);
    }
  }

  /** Gives an entry to one whom the policy allows the name, unless it leads where the policy forbids. */
  function give(turn: Turn, client: Client, host: string, verdict: Verdict, entry: Entry, at: number): void {
    const final = entry.guarded
      ? guardVerdict(client.group)
      : chainVerdict(engine, entry.chain, client, verdict, at);
    if (final.action !== 'allow') {
      block(turn, client, host, final, at);
      return;
    }
    if (entry.failure) counts.failed++;
    const stale = !entry.failure && entry.freshUntil <= at && entry.freshUntil > entry.storedAt;
    if (stale) counts.stale++;
    const cap = ttlUnder(final, at, stale ? STALE_TTL : MAX_TTL);
    const age = stale ? 0 : Math.max(0, Math.floor((at - entry.storedAt) / 1000));
    const limit = turn.transport !== 'udp' ? 65535 : Math.min(query.udpSize, UDP_PAYLOAD);
    const base = memory.room(entry.bytes.length + RELAY_ROOM);
    const ede = stale ? EDE_STALE : EDE_NONE;
    const end = relayReply(memory.bytes(), base, turn.packet, query, entry, age, cap, limit, ede);
    if (end - base < entry.bytes.length) counts.truncated++;
    finish(turn, client, host, entry.failure ? failedVerdict(final) : final, at, end);
  }

  function block(turn: Turn, client: Client, host: string, verdict: Verdict, at: number): void {
    counts.blocked++;
    const { packet } = turn;
    const base = memory.room(query.questionEnd + REPLY_ROOM);
    const out = memory.bytes();
    const ede = blockError(verdict.reason);
    let end: number;
    if (verdict.action === 'error') end = errorReply(out, base, packet, query, SERVFAIL, EDE_NOT_READY);
    else {
      // Software that looks for a canary takes nothing but "no such name" for a no.
      const style =
        verdict.reason === 'bypass' ? 'nxdomain' : verdict.action === 'portal' ? portalStyle : settings.block;
      end = blockReply(out, base, packet, query, style, page, ttlUnder(verdict, at, BLOCK_TTL), ede);
    }
    finish(turn, client, host, verdict, at, end);
  }

  function answerSpecial(turn: Turn, client: Client, host: string, special: SpecialAnswer): void {
    counts.special++;
    const base = memory.room(query.questionEnd + REPLY_ROOM);
    const end = specialReply(memory.bytes(), base, turn.packet, query, special);
    finish(turn, client, host, specialVerdict(client.group), turn.startedAt, end);
  }

  function sendError(turn: Turn, rcode: number, ede: number): void {
    const base = memory.room(query.questionEnd + REPLY_ROOM);
    send(turn, memory.take(errorReply(memory.bytes(), base, turn.packet, query, rcode, ede)));
  }

  function sendTruncated(turn: Turn): void {
    const base = memory.room(query.questionEnd + REPLY_ROOM);
    send(turn, memory.take(truncatedReply(memory.bytes(), base, turn.packet, query, NOERROR)));
  }

  function send(turn: Turn, answer: Uint8Array): void {
    replied = true;
    turn.reply(answer);
  }

  /** Sends what was written up to `end`, and tells the audit. */
  function finish(turn: Turn, client: Client, host: string, verdict: Verdict, at: number, end: number): void {
    const answer = memory.take(end);
    // Read now: a server may hand in the next query of a connection as soon as it has this answer.
    const method = typeName(query.type);
    send(turn, answer);
    const { policy, index } = engine.generations;
    const decision: Decision = {
      at: turn.startedAt,
      channel: 'dns',
      client,
      host,
      path: null,
      method,
      verdict,
      policyGeneration: policy,
      indexGeneration: index,
      bytesIn: turn.length,
      bytesOut: answer.length,
      durationMs: at - turn.startedAt,
    };
    try {
      deps.record(decision);
    } catch {
      counts.unrecorded++;
    }
  }

  return {
    asker: (address, clientId = null) => ({ address, clientId }),
    asker4: (address) => ({
      address: `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`,
      clientId: null,
    }),
    handle,
    stats: () => {
      const { entries, bytes } = cache.stats();
      return { ...counts, cacheEntries: entries, cacheBytes: bytes, clients: gate.known() };
    },
    purge: (names) => cache.purge(names),
  };
}
