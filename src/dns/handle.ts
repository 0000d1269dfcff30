// The way of a DNS query: read, admitted, decided by the policy, answered from the store or by an upstream, noted. Blocks
// and stored answers are written before `handle` returns, and make no object and no string. Bytes are written in
// replies.ts and relay.ts, what an upstream sends is taken in in fetch.ts.

import type { DnsNote, Engine, Verdict } from '../policy/types.ts';
import type { Exchange } from '../resolver/types.ts';
import { REWRITTEN, WITH_ANY_CLASS, WITH_CD, WITH_DO, createAnswerStore } from './answer-store.ts';
import { createAskers } from './askers.ts';
import type { Admission, KnownAsker } from './askers.ts';
import { createFetcher, isUsable } from './fetch.ts';
import { compileForwardTable } from './forward-table.ts';
import {
  blockError,
  chainVerdict,
  createOwnVerdicts,
  failedVerdict,
  pageAddresses,
  ttlUnder,
} from './policy-answers.ts';
import { createQuestionText } from './question-text.ts';
import { createRebindingGuard } from './rebinding.ts';
import { relayReply } from './relay.ts';
import * as replies from './replies.ts';
import { rewriteKind } from './rewrite-answer.ts';
import { createRewriteTargets } from './rewrite-targets.ts';
import { NONE } from './slab.ts';
import type { Place } from './slab.ts';
import { specialAnswer, specialReply } from './special-names.ts';
import type { SpecialAnswer } from './special-names.ts';
import { createTunnelGuard } from './tunnel-guard.ts';
import { createTurns } from './turns.ts';
import type { Turn } from './turns.ts';
import { ANSWER_ROOM } from './types.ts';
import type { Asker, DnsHandler, DnsSettings, Later, Transport } from './types.ts';
import * as wire from './wire.ts';

export type DnsHandlerDeps = {
  readonly engine: Engine;
  readonly exchange: Exchange;
  /** hears of every query that was decided; must be quick, and what it throws is counted and dropped */
  readonly note: DnsNote;
  /** UTC ms */
  readonly now: () => number;
  readonly settings: DnsSettings;
  readonly log?: (level: 'warn', msg: string, fields: Record<string, unknown>) => void;
};

const MAX_TTL = 0x7fffffff;
const STALE_TTL = 10;
const ANY_TTL = 3600;
const NODATA_TTL = 60;
/** An answer asked for this often since it was last passed over is renewed before it ends. */
const POPULAR = 3;
/** Renewed when less than this part of its time is left. */
const LATE = 0.1;
const RENEWING = -1;

/** Throws an Error that names the entry when a network or address of the settings cannot be read. */
export function createDnsHandler(deps: DnsHandlerDeps): DnsHandler {
  const { engine, settings, now } = deps;
  const { cache } = settings;
  const askers = createAskers({ engine, settings, now });
  const page = pageAddresses(settings.page);
  const portalStyle = page.v4 !== null || page.v6 !== null ? 'page' : settings.block;
  const ttl = { least: cache.leastTtl, most: cache.mostTtl, stale: cache.staleMs };
  const store = createAnswerStore({ maxBytes: cache.maxBytes, ttl });
  const fetcher = createFetcher({ store, now, ttl, guard: createRebindingGuard(settings.allowPrivate) });
  const turns = createTurns({ arrived, exchange: deps.exchange });
  const tunnels = createTunnelGuard({ ...settings.tunnel, seed: engine.seed.lo });
  const targets = createRewriteTargets();
  const own = createOwnVerdicts();
  const text = createQuestionText();
  const key = { lo: 0, hi: 0, type: 0, variant: 0 };
  const ownQuery = wire.createQuery();
  const scratch = new Uint8Array(ANSWER_ROOM);
  /** The query at hand. */
  const here = {
    packet: scratch as Uint8Array,
    length: 0,
    asker: null as unknown as KnownAsker,
    transport: 'udp' as Transport,
    out: scratch as Uint8Array,
    startedAt: 0,
    query: ownQuery,
    lo: 0,
    hi: 0,
  };
  let epoch = -1;
  let forward = compileForwardTable({}, engine.seed);
  const counts = {
    queries: 0,
    silent: 0,
    malformed: 0,
    unserved: 0,
    limited: 0,
    dropped: 0,
    refused: 0,
    special: 0,
    allowed: 0,
    blocked: 0,
    rewritten: 0,
    cached: 0,
    stale: 0,
    forwarded: 0,
    refreshed: 0,
    prefetched: 0,
    failed: 0,
    truncated: 0,
    crowded: 0,
    errors: 0,
    unrecorded: 0,
  };

  const hostHere = (): string => {
    text.read(here.packet, here.query);
    return text.host();
  };

  function handle(
    packet: Uint8Array,
    length: number,
    asker: Asker,
    transport: Transport,
    out: Uint8Array,
    later: Later,
  ): number {
    counts.queries++;
    here.packet = packet;
    here.length = length;
    here.asker = asker as KnownAsker;
    here.transport = transport;
    here.out = out;
    here.query = ownQuery;
    try {
      here.startedAt = now();
      return take(later);
    } catch {
      return giveUp();
    }
  }

  /** After an error of our own: SERVFAIL if that is still possible, never an unfiltered answer. */
  function giveUp(): number {
    counts.errors++;
    try {
      const { packet, length, query } = here;
      if (query === ownQuery && wire.parseQuery(packet, length, query) === wire.SILENCE) return 0;
      return error(wire.SERVFAIL, replies.EDE_NOT_READY);
    } catch {
      // Silence is all that is left; the client asks again.
      return 0;
    }
  }

  function take(later: Later): number {
    const { packet, length, asker, query, startedAt } = here;
    const fault = wire.parseQuery(packet, length, query);
    if (fault === wire.SILENCE) {
      counts.silent++;
      return 0;
    }
    // Before anything that costs: malformed packets use up a client's rate like all others.
    const admission = askers.admit(asker, startedAt);
    if (admission !== 'served') return turnAway(admission);
    if (fault !== 0) {
      counts.malformed++;
      return error(fault, replies.EDE_NONE);
    }
    const refusal = wire.refusalOf(query);
    if (refusal !== wire.NOERROR) {
      counts.refused++;
      return error(refusal, replies.EDE_NONE);
    }

    if (epoch !== engine.epoch) bindToEpoch();
    askers.refresh(asker);
    readName();
    const exchange = forward.find(engine.hashes);
    const special = specialAnswer(packet, query);
    if (special !== null && exchange === null) return answerSpecial(special);
    const verdict = engine.decideHashed(asker.profile, asker.client, startedAt);
    if (verdict.action !== 'allow' && verdict.action !== 'rewrite') return block(verdict, startedAt);

    const { type } = query;
    let target: Uint8Array | null = null;
    let variant = 0;
    if (verdict.action === 'rewrite') {
      const kind = rewriteKind(type);
      if (kind === 'nodata') return nodata(verdict);
      if (kind === 'compose') {
        target = targets.wire(verdict);
        variant = REWRITTEN * targets.number(verdict);
      }
    }
    if ((type === wire.TYPE_HTTPS || type === wire.TYPE_SVCB) && target === null) {
      if (engine.traits(asker.client).serviceRecords === 'deny') return nodata(verdict);
    }
    if (type === wire.TYPE_ANY) {
      const seconds = ttlUnder(verdict, startedAt, ANY_TTL);
      return finish(verdict, startedAt, replies.anyReply(here.out, 0, packet, query, seconds));
    }

    key.lo = here.lo;
    key.hi = here.hi;
    key.type = type;
    if (query.dnssecOk) variant |= WITH_DO;
    if ((query.flags & wire.FLAG_CD) !== 0) variant |= WITH_CD;
    if (query.class === wire.CLASS_ANY) variant |= WITH_ANY_CLASS;
    key.variant = variant;
    const place = store.find(key, packet, query.nameEnd);
    if (place !== NONE) {
      const freshUntil = store.freshUntil(place);
      const retryAt = store.retryAt(place);
      if (freshUntil > startedAt) {
        counts.cached++;
        if (store.touch(place) === POPULAR && cache.prefetch && retryAt === 0) {
          const life = freshUntil - store.storedAt(place);
          if (freshUntil - startedAt < life * LATE && !store.isFailure(place)) {
            counts.prefetched++;
            renew(place, RENEWING, exchange, target);
          }
        }
        return give(verdict, place, startedAt);
      }
      // The upstreams failed a moment ago: the stale answer now, and a fresh one in the background when it is time.
      if (retryAt > 0 && isUsable(store, place, startedAt, ttl.stale)) {
        if (retryAt <= startedAt) {
          counts.refreshed++;
          renew(place, startedAt + 1000, exchange, target);
        }
        return give(verdict, place, startedAt);
      }
    }
    const pace = asker.bucket.exempt ? 'pass' : tunnels.judge(packet, query, asker.address, startedAt);
    if (pace !== 'pass') {
      if (pace === 'limit') return block(own.tunnel(asker.client.group), startedAt);
      deps.log?.('warn', 'a client asks for names that look like data carried in DNS', {
        client: asker.address,
        host: hostHere(),
      });
    }
    counts.forwarded++;
    const turn = turns.begin(packet, query, key);
    if (turn === null) {
      counts.crowded++;
      return finish(failedVerdict(verdict), startedAt, error(wire.SERVFAIL, replies.EDE_NETWORK_ERROR));
    }
    turn.asker = asker;
    turn.length = length;
    turn.transport = here.transport;
    turn.startedAt = startedAt;
    turn.reply = later();
    send(turn, exchange, target);
    return 0;
  }

  /** What is bound to the secret of the hashes, anew when that may be another. */
  function bindToEpoch(): void {
    forward = compileForwardTable(settings.forward, engine.seed);
    epoch = engine.epoch;
  }

  function readName(): void {
    engine.hash(here.packet, wire.QUESTION);
    const { count, lo, hi } = engine.hashes;
    here.lo = count > 0 ? (lo[count - 1] as number) : 0;
    here.hi = count > 0 ? (hi[count - 1] as number) : 0;
  }

  /** Asks for an answer anew while nobody waits for it. */
  function renew(place: Place, retryAt: number, exchange: Exchange | null, target: Uint8Array | null): void {
    const turn = turns.begin(here.packet, here.query, key);
    if (turn === null) return;
    store.setRetryAt(place, retryAt);
    send(turn, exchange, target);
  }

  function send(turn: Turn, exchange: Exchange | null, target: Uint8Array | null): void {
    // A name that is rewritten is asked for under another, which is no inside name.
    if (exchange !== null && target === null) {
      turn.exchange = exchange;
      turn.inside = true;
    }
    turn.target = target;
    fetcher.ask(turn);
  }

  function turnAway(admission: Exclude<Admission, 'served'>): number {
    if (admission === 'refused') counts.unserved++;
    else if (admission === 'over') counts.limited++;
    else counts.dropped++;
    // A true client comes back by TCP, a made-up sender address cannot. On a stream every query gets its answer.
    if (here.transport !== 'udp' || admission === 'refused')
      return error(wire.REFUSED, replies.EDE_PROHIBITED);
    if (admission === 'drop') return 0;
    return replies.truncatedReply(here.out, 0, here.packet, here.query, wire.NOERROR);
  }

  /** An upstream's answer is there, or none will come. The policy is asked again: it may have changed in the meantime. */
  function arrived(turn: Turn, answer: Uint8Array | null): void {
    let size = 0;
    const { reply } = turn;
    try {
      const place = fetcher.keep(turn, answer);
      if (place === NONE) return;
      if (reply !== null) size = resume(turn, place);
    } catch {
      size = reply === null ? 0 : giveUpOn(turn);
    }
    turns.end(turn);
    // Last of all, as a server may hand in the next query at once.
    if (size > 0) reply?.(scratch.subarray(0, size));
  }

  function setHere(turn: Turn): void {
    here.packet = turn.packet;
    here.length = turn.length;
    here.asker = turn.asker as KnownAsker;
    here.transport = turn.transport;
    here.out = scratch;
    here.startedAt = turn.startedAt;
    here.query = turn.query;
  }

  function giveUpOn(turn: Turn): number {
    setHere(turn);
    return giveUp();
  }

  function resume(turn: Turn, place: Place): number {
    setHere(turn);
    const { asker } = here;
    const at = now();
    if (epoch !== engine.epoch) bindToEpoch();
    askers.refresh(asker);
    readName();
    const verdict = engine.decideHashed(asker.profile, asker.client, at);
    if (verdict.action !== 'allow' && verdict.action !== 'rewrite') return block(verdict, at);
    const composes = verdict.action === 'rewrite' && rewriteKind(turn.query.type) === 'compose';
    // What was asked for is no longer what may be given.
    if ((composes ? targets.wire(verdict) : null) !== turn.target) return giveUp();
    return give(verdict, place, at);
  }

  /** Gives an answer to one whom the policy allows the name, unless it leads where the policy forbids. */
  function give(verdict: Verdict, place: Place, at: number): number {
    const { asker, query } = here;
    const final = store.isGuarded(place)
      ? own.guarded(asker.client.group)
      : chainVerdict(engine, store, place, asker, verdict, at);
    if (final.action !== 'allow' && final.action !== 'rewrite') return block(final, at);
    const failure = store.isFailure(place);
    if (failure) counts.failed++;
    const storedAt = store.storedAt(place);
    const freshUntil = store.freshUntil(place);
    const stale = !failure && freshUntil <= at && freshUntil > storedAt;
    if (stale) counts.stale++;
    const cap = ttlUnder(final, at, stale ? STALE_TTL : MAX_TTL);
    const age = stale || at < storedAt ? 0 : Math.floor((at - storedAt) / 1000);
    const limit = here.transport !== 'udp' ? 65535 : Math.min(query.udpSize, replies.UDP_PAYLOAD);
    const ede = stale ? replies.EDE_STALE : replies.EDE_NONE;
    const size = relayReply(here.out, here.packet, query, store, place, age, cap, limit, ede);
    if (size < store.bodyLength(place)) counts.truncated++;
    if (failure) return finish(failedVerdict(final), at, size);
    if (final.action === 'allow') counts.allowed++;
    else counts.rewritten++;
    return finish(final, at, size);
  }

  function block(verdict: Verdict, at: number): number {
    counts.blocked++;
    const { packet, query, out } = here;
    if (verdict.action === 'error') return finish(verdict, at, error(wire.SERVFAIL, replies.EDE_NOT_READY));
    // Software that looks for a canary takes nothing but "no such name" for a no.
    const style =
      verdict.reason === 'bypass' ? 'nxdomain' : verdict.action === 'portal' ? portalStyle : settings.block;
    const seconds = ttlUnder(verdict, at, replies.BLOCK_TTL);
    const ede = blockError(verdict.reason);
    return finish(verdict, at, replies.blockReply(out, 0, packet, query, style, page, seconds, ede));
  }

  /** No record of this type: what it would say leads round the filter. */
  function nodata(verdict: Verdict): number {
    const { packet, query, out, startedAt } = here;
    const seconds = ttlUnder(verdict, startedAt, NODATA_TTL);
    const size = replies.negativeReply(out, 0, packet, query, wire.NOERROR, seconds, replies.EDE_FILTERED);
    return finish(verdict, startedAt, size);
  }

  function answerSpecial(special: SpecialAnswer): number {
    counts.special++;
    const size = specialReply(here.out, 0, here.packet, here.query, special);
    return finish(own.special(here.asker.client.group), here.startedAt, size);
  }

  const error = (rcode: number, ede: number): number =>
    replies.errorReply(here.out, 0, here.packet, here.query, rcode, ede);

  /** Tells the audit; returns the size, for the caller to return. */
  function finish(verdict: Verdict, at: number, size: number): number {
    const { lo, hi, asker, query, startedAt, length } = here;
    try {
      deps.note(lo, hi, asker.client, verdict, query.type, startedAt, length, size, at - startedAt, hostHere);
    } catch {
      counts.unrecorded++;
    }
    return size;
  }

  return {
    asker: (address, clientId = null) => askers.find(address, clientId),
    asker4: (address) => askers.find4(address),
    handle,
    stats: () => {
      const { entries, bytes, evicted } = store.stats();
      return {
        ...counts,
        ...tunnels.stats(),
        cacheEntries: entries,
        cacheBytes: bytes,
        cacheEvicted: evicted,
        waiting: turns.waiting(),
        clients: askers.known(),
      };
    },
    purge: (names) => store.purge(names),
  };
}
