// Writing the answer to the query at hand and telling the audit of it: what is kept, a block, a refusal, a name of our own.
// Which of them it is, handle.ts decides.

import type { DnsNote, Engine, Verdict } from '../policy/types.ts';
import type { AnswerStore } from './answer-store.ts';
import type { KnownAsker } from './askers.ts';
import type { Counts } from './counts.ts';
import type { LocalName } from './local-records.ts';
import { localReply } from './local-reply.ts';
import { blockError, chainVerdict, failedVerdict, pageAddresses, ttlUnder } from './policy-answers.ts';
import type { OwnVerdicts } from './policy-answers.ts';
import { createQuestionText } from './question-text.ts';
import { relayReply } from './relay.ts';
import * as replies from './replies.ts';
import type { Place } from './slab.ts';
import { asksForDiscovery, discoveryReply } from './discovery.ts';
import { specialReply } from './special-names.ts';
import type { SpecialAnswer } from './special-names.ts';
import type { DnsSettings, Transport } from './types.ts';
import * as wire from './wire.ts';

/** The query at hand: one object, filled anew for each. */
export type AtHand = {
  packet: Uint8Array;
  length: number;
  asker: KnownAsker;
  transport: Transport;
  /** where the answer is written, from its start */
  out: Uint8Array;
  /** UTC ms */
  startedAt: number;
  query: wire.Query;
  /** the hash of its name */
  lo: number;
  hi: number;
};

/** Each writes an answer to the query at hand and returns its length. */
export type Answering = {
  /** what is kept, unless it leads where the policy forbids */
  give(verdict: Verdict, place: Place, at: number): number;
  block(verdict: Verdict, at: number): number;
  /** no record of this type: what it would say leads round the filter */
  nodata(verdict: Verdict): number;
  /** the short answer to ANY */
  any(verdict: Verdict): number;
  special(special: SpecialAnswer): number;
  local(local: LocalName): number;
  /** no upstream may be asked now */
  crowded(verdict: Verdict): number;
  error(rcode: number, ede: number): number;
  truncated(): number;
  /** the name asked for, as text */
  host(): string;
};

const MAX_TTL = 0x7fffffff;
const STALE_TTL = 10;
const ANY_TTL = 3600;
const NODATA_TTL = 60;

/** Throws an Error that names an address of the page which cannot be read. */
export function createAnswering(deps: {
  here: AtHand;
  engine: Engine;
  store: AnswerStore;
  own: OwnVerdicts;
  counts: Counts;
  note: DnsNote;
  settings: DnsSettings;
}): Answering {
  const { here, engine, store, own, counts, note, settings } = deps;
  const { discovery = null } = settings;
  const page = pageAddresses(settings.page);
  const portalStyle = page.v4 !== null || page.v6 !== null ? 'page' : settings.block;
  const text = createQuestionText();

  const host = (): string => {
    text.read(here.packet, here.query);
    return text.host();
  };

  const room = (): number =>
    here.transport !== 'udp' ? 65535 : Math.min(here.query.udpSize, replies.UDP_PAYLOAD);

  const isCut = (place: Place): boolean => ((store.bytes[store.bodyAt(place) + 2] as number) & 2) !== 0;

  function give(verdict: Verdict, place: Place, at: number): number {
    const { asker, query } = here;
    const final = store.isGuarded(place)
      ? own.guarded(asker.client.group)
      : chainVerdict(engine, store, place, asker, verdict, at);
    if (final.action !== 'allow' && final.action !== 'rewrite') return block(final, at);
    // Cut off, and by a stream there is no other way to ask for the rest: the upstream never gave it.
    if (here.transport !== 'udp' && isCut(place)) {
      counts.failed++;
      return finish(failedVerdict(final), at, error(wire.SERVFAIL, replies.EDE_NETWORK_ERROR));
    }
    const failure = store.isFailure(place);
    if (failure) counts.failed++;
    const storedAt = store.storedAt(place);
    const freshUntil = store.freshUntil(place);
    const stale = !failure && freshUntil <= at && freshUntil > storedAt;
    if (stale) counts.stale++;
    const cap = ttlUnder(final, at, stale ? STALE_TTL : MAX_TTL);
    const age = stale || at < storedAt ? 0 : Math.floor((at - storedAt) / 1000);
    // A failure says why, or at least that the upstream did not.
    const unsaid = failure && store.extendedErrors(place) === null;
    const ede = stale ? replies.EDE_STALE : unsaid ? replies.EDE_OTHER : replies.EDE_NONE;
    const size = relayReply(here.out, here.packet, query, store, place, age, cap, room(), ede);
    if (size < store.bodyLength(place)) counts.truncated++;
    if (failure) return finish(failedVerdict(final), at, size);
    if (final.action === 'allow') counts.allowed++;
    else counts.rewritten++;
    return finish(final, at, size);
  }

  function block(verdict: Verdict, at: number): number {
    const { packet, query, out } = here;
    if (verdict.action === 'error') {
      counts.undecided++;
      return finish(verdict, at, error(wire.SERVFAIL, replies.EDE_NOT_READY));
    }
    if (verdict.action === 'portal') counts.portal++;
    else counts.blocked++;
    // Software that looks for a canary takes nothing but "no such name" for a no.
    const style =
      verdict.reason === 'bypass' ? 'nxdomain' : verdict.action === 'portal' ? portalStyle : settings.block;
    const seconds = ttlUnder(verdict, at, replies.BLOCK_TTL);
    const ede = blockError(verdict.reason);
    return finish(verdict, at, replies.blockReply(out, 0, packet, query, style, page, seconds, ede));
  }

  function nodata(verdict: Verdict): number {
    counts.nodata++;
    const { packet, query, out, startedAt } = here;
    const seconds = ttlUnder(verdict, startedAt, NODATA_TTL);
    const size = replies.negativeReply(out, 0, packet, query, wire.NOERROR, seconds, replies.EDE_FILTERED);
    return finish(verdict, startedAt, size);
  }

  function special(answer: SpecialAnswer): number {
    counts.special++;
    const { out, packet, query } = here;
    const size =
      discovery !== null && asksForDiscovery(packet, query)
        ? discoveryReply(out, 0, packet, query, discovery)
        : specialReply(out, 0, packet, query, answer);
    return finish(own.special(here.asker.client.group), here.startedAt, size);
  }

  function local(name: LocalName): number {
    counts.local++;
    const size = localReply(here.out, 0, here.packet, here.query, name, room());
    return finish(own.local(here.asker.client.group), here.startedAt, size);
  }

  function any(verdict: Verdict): number {
    counts.any++;
    const { packet, query, out, startedAt } = here;
    const size = replies.anyReply(out, 0, packet, query, ttlUnder(verdict, startedAt, ANY_TTL));
    return finish(verdict, startedAt, size);
  }

  function crowded(verdict: Verdict): number {
    counts.crowded++;
    return finish(failedVerdict(verdict), here.startedAt, error(wire.SERVFAIL, replies.EDE_NETWORK_ERROR));
  }

  const error = (rcode: number, ede: number): number =>
    replies.errorReply(here.out, 0, here.packet, here.query, rcode, ede);

  /** Tells the audit; returns the size, for the caller to return. */
  function finish(verdict: Verdict, at: number, size: number): number {
    const { lo, hi, asker, query, startedAt, length } = here;
    try {
      note(lo, hi, asker.client, verdict, query.type, startedAt, length, size, at - startedAt, host);
    } catch {
      counts.unrecorded++;
    }
    return size;
  }

  return {
    give,
    block,
    nodata,
    any,
    special,
    local,
    crowded,
    error,
    truncated: () => replies.truncatedReply(here.out, 0, here.packet, here.query, wire.NOERROR),
    host,
  };
}
