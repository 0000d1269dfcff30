// The way of a DNS query: read, admitted, decided by the policy, answered from the store or by an upstream, noted. Blocks
// and stored answers are written before `handle` returns, and make no object and no string. Bytes are written in
// replies.ts and relay.ts, what an upstream sends is taken in in fetch.ts.

import { yieldsToLocal } from '../policy/local-names.ts';
import type { DnsNote, Engine, Verdict } from '../policy/types.ts';
import type { Exchange } from '../resolver/types.ts';
import { REWRITTEN, WITH_ANY_CLASS, WITH_CD, WITH_DO, createAnswerStore } from './answer-store.ts';
import { createAnswering } from './answering.ts';
import type { AtHand } from './answering.ts';
import { createAskers } from './askers.ts';
import type { Admission, KnownAsker } from './askers.ts';
import { createCounts } from './counts.ts';
import type { Counts } from './counts.ts';
import { createFetcher, isUsable } from './fetch.ts';
import { compileForwardTable } from './forward-table.ts';
import { compileLocalRecords, findLocal } from './local-records.ts';
import { createOwnVerdicts } from './policy-answers.ts';
import { createRebindingGuard } from './rebinding.ts';
import { EDE_NONE, EDE_NOT_READY, EDE_PROHIBITED } from './replies.ts';
import { rewriteKind } from './rewrite-answer.ts';
import { createRewriteTargets } from './rewrite-targets.ts';
import { NONE } from './slab.ts';
import type { Place } from './slab.ts';
import { specialAnswer } from './special-names.ts';
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
  /** goes on counting where a handler before it ended */
  readonly counts?: Counts;
  readonly log?: (level: 'warn', msg: string, fields: Record<string, unknown>) => void;
};

/** An answer asked for this often since it was last passed over is renewed before it ends. */
const POPULAR = 3;
/** Renewed when less than this part of its time is left. */
const LATE = 0.1;
const RENEWING = -1;

/** A rewrite for a type that it has nothing to say of: an allow like any other. */
function passed(verdict: Verdict): Verdict {
  return verdict.action === 'rewrite' ? { ...verdict, action: 'allow', target: null } : verdict;
}

/** Throws an Error that names the entry when a network or address of the settings cannot be read. */
export function createDnsHandler(deps: DnsHandlerDeps): DnsHandler {
  const { engine, settings, now } = deps;
  const { cache } = settings;
  const askers = createAskers({ engine, settings, now });
  const ttl = { least: cache.leastTtl, most: cache.mostTtl, stale: cache.staleMs };
  const store = createAnswerStore({ maxBytes: cache.maxBytes, ttl });
  const fetcher = createFetcher({ store, now, ttl, guard: createRebindingGuard(settings.allowPrivate) });
  const turns = createTurns({ arrived, exchange: deps.exchange });
  const tunnels = createTunnelGuard({ ...settings.tunnel, seed: engine.seed.lo });
  const targets = createRewriteTargets();
  const ownVerdicts = createOwnVerdicts();
  const key = { lo: 0, hi: 0, type: 0, variant: 0 };
  const ownQuery = wire.createQuery();
  const scratch = new Uint8Array(ANSWER_ROOM);
  const here: AtHand = {
    packet: scratch,
    length: 0,
    asker: null as unknown as KnownAsker,
    transport: 'udp',
    out: scratch,
    startedAt: 0,
    query: ownQuery,
    lo: 0,
    hi: 0,
  };
  const counts = deps.counts ?? createCounts();
  const { note } = deps;
  const answer = createAnswering({ here, engine, store, own: ownVerdicts, counts, note, settings });
  let { local } = settings;
  let epoch = -1;
  let forward = compileForwardTable({}, engine.seed);
  let compiled: { local: typeof local; seed: typeof engine.seed } | null = null;
  let names = compileLocalRecords({ records: [], authoritative: [], forward: [] }, engine.seed);

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
      return answer.error(wire.SERVFAIL, EDE_NOT_READY);
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
      return answer.error(fault, EDE_NONE);
    }
    const refusal = wire.refusalOf(query);
    if (refusal !== wire.NOERROR) {
      counts.refused++;
      return answer.error(refusal, EDE_NONE);
    }

    if (epoch !== engine.epoch) bindToEpoch();
    askers.refresh(asker);
    readName();
    const exchange = forward.find(engine.hashes);
    const own = findLocal(names, engine.hashes);
    const special = own !== null || exchange !== null ? null : specialAnswer(packet, query);
    if (special !== null) return answer.special(special);
    let verdict = engine.decideHashed(asker.profile, asker.client, startedAt);
    if (own !== null && yieldsToLocal(verdict)) return answer.local(own);
    if (verdict.action !== 'allow' && verdict.action !== 'rewrite') return answer.block(verdict, startedAt);

    const { type } = query;
    let target: Uint8Array | null = null;
    let variant = 0;
    if (verdict.action === 'rewrite') {
      const kind = rewriteKind(type);
      if (kind === 'nodata') return answer.nodata(verdict);
      // A mail server and the like of the very name: nothing is rewritten, so what it leads to is not of our choosing either.
      if (kind === 'pass') verdict = passed(verdict);
      if (kind === 'compose') {
        target = targets.wire(verdict);
        variant = REWRITTEN * targets.number(verdict);
      }
    }
    if (target === null && deniesServices(type)) return answer.nodata(verdict);
    if (type === wire.TYPE_ANY) return answer.any(verdict);

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
        return answer.give(verdict, place, startedAt);
      }
      // The upstreams failed a moment ago: the stale answer now, and a fresh one in the background when it is time.
      if (retryAt > 0 && isUsable(store, place, startedAt, ttl.stale)) {
        if (retryAt <= startedAt) {
          counts.refreshed++;
          renew(place, startedAt + 1000, exchange, target);
        }
        return answer.give(verdict, place, startedAt);
      }
    }
    // What somebody opened by name is open for what it carries.
    const opened = verdict.reason === 'override' || verdict.reason === 'local-allow';
    const pace =
      asker.bucket.exempt || opened ? 'pass' : tunnels.judge(packet, query, asker.address, startedAt);
    if (pace !== 'pass') {
      if (pace === 'limit') return answer.block(ownVerdicts.tunnel(asker.client.group), startedAt);
      deps.log?.('warn', 'a client asks for names that look like data carried in DNS', {
        client: asker.address,
        host: answer.host(),
      });
    }
    counts.forwarded++;
    const turn = turns.begin(packet, query, key, asker);
    if (turn === null) return answer.crowded(verdict);
    turn.length = length;
    turn.transport = here.transport;
    turn.startedAt = startedAt;
    turn.reply = later();
    send(turn, exchange, target);
    return 0;
  }

  /** Whether whoever asks gets no records of this type, as they would lead round the filter. */
  function deniesServices(type: number): boolean {
    if (type !== wire.TYPE_HTTPS && type !== wire.TYPE_SVCB) return false;
    return engine.traits(here.asker.client).serviceRecords === 'deny';
  }

  /** What is bound to the secret of the hashes, anew when that may be another. */
  function bindToEpoch(): void {
    forward = compileForwardTable(settings.forward, engine.seed);
    const { seed } = engine;
    // Ten thousand records take a while, and an override or a timetable changes nothing in them.
    if (compiled?.local !== local || compiled.seed.lo !== seed.lo || compiled.seed.hi !== seed.hi) {
      names = compileLocalRecords({ ...local, forward: Object.keys(settings.forward) }, seed);
      compiled = { local, seed };
    }
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
    const turn = turns.begin(here.packet, here.query, key, null);
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
    try {
      fetcher.ask(turn);
    } catch (problem) {
      turns.end(turn);
      throw problem;
    }
  }

  function turnAway(admission: Exclude<Admission, 'served'>): number {
    if (admission === 'refused') counts.unserved++;
    else if (admission === 'over') counts.limited++;
    else counts.dropped++;
    // A true client comes back by TCP, a made-up sender address cannot. On a stream every query gets its answer.
    if (here.transport !== 'udp') return answer.error(wire.REFUSED, EDE_PROHIBITED);
    // Anyone may be made to look like a sender: what goes back is no longer than what came.
    if (admission === 'refused') return answer.error(wire.REFUSED, EDE_NONE);
    if (admission === 'drop') return 0;
    return answer.truncated();
  }

  /** An upstream's answer is there, or none will come. The policy is asked again: it may have changed in the meantime. */
  function arrived(turn: Turn, message: Uint8Array | null): void {
    let size = 0;
    const { reply } = turn;
    try {
      const place = fetcher.keep(turn, message);
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
    let verdict = engine.decideHashed(asker.profile, asker.client, at);
    if (verdict.action !== 'allow' && verdict.action !== 'rewrite') return answer.block(verdict, at);
    const kind = verdict.action === 'rewrite' ? rewriteKind(turn.query.type) : 'pass';
    // What was asked for is no longer what may be given.
    if ((kind === 'compose' ? targets.wire(verdict) : null) !== turn.target) return giveUp();
    if (kind === 'nodata') return answer.nodata(verdict);
    if (kind !== 'compose') verdict = passed(verdict);
    if (deniesServices(turn.query.type) && turn.target === null) return answer.nodata(verdict);
    return answer.give(verdict, place, at);
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
    takeLimited: () => askers.takeLimited(),
    purge: (list) => store.purge(list),
    setLocal(data) {
      local = data;
      epoch = -1;
    },
  };
}
