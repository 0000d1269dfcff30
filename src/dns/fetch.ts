// Getting an answer that is not in the store: the query that goes upstream, what comes back read, checked and kept, and
// what is given instead when nothing of use comes back.

import { reachedRecords } from '../resolver/relevance.ts';
import type { AnswerStore, Facts } from './answer-store.ts';
import { createQuestionText } from './question-text.ts';
import type { RebindingGuard } from './rebinding.ts';
import { EDE_NETWORK_ERROR, UDP_PAYLOAD } from './replies.ts';
import type { Response } from './response.ts';
import { readResponse } from './response.ts';
import { composeRewrite } from './rewrite-answer.ts';
import { withoutEch } from './service-records.ts';
import { NONE } from './slab.ts';
import type { Place } from './slab.ts';
import type { Turn } from './turns.ts';
import {
  CLASS_IN,
  FLAG_CD,
  FORMERR,
  NOERROR,
  NOTIMP,
  NXDOMAIN,
  QUESTION,
  SERVFAIL,
  TYPE_OPT,
  putUint16,
} from './wire.ts';

export type TtlBounds = {
  /** seconds; a TTL of zero stays zero */
  readonly least: number;
  readonly most: number;
  /** ms beyond its TTL for which an answer may stand in while the upstreams are silent */
  readonly stale: number;
};

export type Fetcher = {
  /** asks the turn's upstream; `turn.arrived` is called later */
  ask(turn: Turn): void;
  /**
   * Keeps what came for a turn, or the failure, and returns where the answer to give lies. NONE when the upstream was asked
   * again and another answer will arrive. `message` is the upstream's, or null when there was none.
   */
  keep(turn: Turn, message: Uint8Array | null): Place;
};

/** For how long a failure is remembered, so that clients who ask again at once do not wear out an ailing upstream (RFC 9520). */
const FAILURE_MS = 2000;
/** After a failed renewal the stale answer is given without asking, for so long. */
const RETRY_MS = 5000;
const NETWORK_ERROR = Uint8Array.of(0, 15, 0, 2, 0, EDE_NETWORK_ERROR);
/** RD and AD: we want recursion, and to know what was validated (RFC 6840, section 5.7). */
const FLAGS = 0x0120;
const ROOM = QUESTION + 255 + 4 + 11;

export function createFetcher(deps: {
  store: AnswerStore;
  guard: RebindingGuard;
  ttl: TtlBounds;
  now: () => number;
}): Fetcher {
  const { store, guard, ttl, now } = deps;
  const upstreamQuery = new Uint8Array(ROOM);
  const text = createQuestionText();

  const hostOf = ({ packet, query }: Turn): string => {
    text.read(packet, query);
    return text.host();
  };

  function ask(turn: Turn): void {
    const length = writeQuery(upstreamQuery, turn);
    turn.exchange.ask(upstreamQuery.subarray(0, length), turn.arrived);
  }

  function keep(turn: Turn, message: Uint8Array | null): Place {
    const at = now();
    let answer = message;
    let response = answer === null ? null : readResponse(answer);
    if (answer === null || response === null) return fail(turn, null, at);
    if ((response.rcode === FORMERR || response.rcode === NOTIMP) && !turn.plain) {
      // A server from before EDNS may say so in this way (RFC 6891, section 7).
      turn.plain = true;
      ask(turn);
      return NONE;
    }
    if (response.nameEnd !== QUESTION + askedName(turn).length) return fail(turn, null, at);
    // An extended RCODE, such as BADVERS, is between us and the upstream.
    if (response.rcode > 15) return fail(turn, null, at);
    if (response.rcode !== NOERROR && response.rcode !== NXDOMAIN) return fail(turn, response, at);
    // Records that the question does not lead to are no part of its answer, and no true resolver sends them.
    const reached = reachedRecords(answer, response.questionEnd);
    if (reached === null || reached.includes(0)) return fail(turn, null, at);
    // Another query of the same kind may have brought it already.
    const known = store.find(turn.key, turn.packet, turn.query.nameEnd);
    const brought = known !== NONE && !store.isFailure(known) && store.freshUntil(known) > at;
    if (brought && turn.reply !== null) return known;
    if (turn.target !== null) {
      const { chain } = response;
      answer = composeRewrite(turn.packet, turn.query.questionEnd, turn.target, answer);
      response = answer === null ? null : readResponse(answer);
      // The names that the target leads through are not in what is composed, but count all the same.
      if (response !== null && chain.length > 0)
        response = { ...response, chain: [...response.chain, ...chain] };
    } else if (response.services) {
      answer = withoutEch(answer);
      response = answer === null ? null : readResponse(answer);
    }
    if (answer === null || response === null) return fail(turn, null, at);
    const guarded = !turn.inside && guard.forbids(response.addresses, () => hostOf(turn));
    const seconds = response.lifetime === 0 ? 0 : clamp(response.lifetime);
    return put(turn, answer, response, {
      guarded,
      failure: false,
      storedAt: at,
      // Not for a moment, whatever the clock does.
      freshUntil: seconds === 0 ? 0 : at + seconds * 1000,
    });
  }

  const clamp = (seconds: number): number => Math.max(ttl.least, Math.min(ttl.most, seconds));

  function put(turn: Turn, message: Uint8Array, response: Response, facts: Facts): Place {
    return store.put(turn.key, message, response, facts);
  }

  /** No answer of use: the stale one stands in if there is one, otherwise the failure itself is kept for a moment. */
  function fail(turn: Turn, response: Response | null, at: number): Place {
    const known = store.find(turn.key, turn.packet, turn.query.nameEnd);
    if (known !== NONE && isUsable(store, known, at, ttl.stale)) {
      store.setRetryAt(known, at + RETRY_MS);
      return known;
    }
    const facts = { guarded: false, failure: true, storedAt: at, freshUntil: at + FAILURE_MS };
    // Of a failure only its code and reasons are handed on: nobody has looked where its records lead.
    const told = turn.target === null ? response : null;
    return put(turn, ...failureOf(turn, told), facts);
  }

  return { ask, keep };
}

/** Whether an answer is one, and not too old to be given while there is no newer one. */
export function isUsable(store: AnswerStore, place: Place, at: number, staleMs: number): boolean {
  if (store.isFailure(place)) return false;
  const freshUntil = store.freshUntil(place);
  return freshUntil > store.storedAt(place) && freshUntil + staleMs > at;
}

/** The name that is asked for upstream, in wire form. */
function askedName({ target, packet, query }: Turn): Uint8Array {
  return target ?? packet.subarray(QUESTION, query.nameEnd);
}

/** The question as we ask it: our own header and OPT, so that nothing else a client put in its query leaves the house. */
function writeQuery(out: Uint8Array, turn: Turn): number {
  const { query } = turn;
  const name = askedName(turn);
  out.fill(0, 0, QUESTION);
  putUint16(out, 2, FLAGS | (query.flags & FLAG_CD));
  putUint16(out, 4, 1);
  let at = QUESTION;
  for (let i = 0; i < name.length; i++) out[at++] = name[i] as number;
  putUint16(out, at, query.type);
  putUint16(out, at + 2, turn.target === null ? query.class : CLASS_IN);
  at += 4;
  if (turn.plain) return at;
  putUint16(out, 10, 1);
  out.fill(0, at, at + 11);
  putUint16(out, at + 1, TYPE_OPT);
  putUint16(out, at + 3, UDP_PAYLOAD);
  // What is composed from another name's addresses cannot be validated by the asker.
  putUint16(out, at + 7, query.dnssecOk && turn.target === null ? 0x8000 : 0);
  return at + 11;
}

/** The question with the upstream's failure, or with SERVFAIL of our own when there is none to tell of; nothing else. */
function failureOf({ packet, query }: Turn, told: Response | null): [Uint8Array, Response] {
  const rcode = told === null ? SERVFAIL : told.rcode;
  const bytes = packet.slice(0, query.questionEnd);
  putUint16(bytes, 2, 0x8080 | (rcode & 15));
  putUint16(bytes, 4, 1);
  bytes.fill(0, 6, QUESTION);
  const response: Response = {
    rcode,
    truncated: false,
    nameEnd: query.nameEnd,
    questionEnd: query.questionEnd,
    bodyEnd: query.questionEnd,
    owners: [],
    ttls: [],
    lifetime: 0,
    chain: [],
    addresses: [],
    services: false,
    extendedErrors: told === null ? NETWORK_ERROR : told.extendedErrors,
  };
  return [bytes, response];
}
