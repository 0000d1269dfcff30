// Getting an answer that the cache does not have: the query that goes upstream, what comes back turned into an entry and
// kept, and what is given instead when nothing of use comes back.

import type { Exchange } from '../resolver/types.ts';
import type { AnswerCache, Entry } from './cache.ts';
import { createEntry } from './cache.ts';
import type { RebindingGuard } from './rebinding.ts';
import { EDE_NETWORK_ERROR, UDP_PAYLOAD } from './replies.ts';
import type { Response } from './response.ts';
import { readResponse } from './response.ts';
import type { Query } from './wire.ts';
import { FORMERR, NOERROR, NOTIMP, NXDOMAIN, QUESTION, SERVFAIL, TYPE_OPT, putUint16 } from './wire.ts';

export type FetchRequest = {
  readonly key: string;
  readonly host: string;
  readonly packet: Uint8Array;
  /** read before `fetch` returns, not kept */
  readonly query: Query;
  readonly exchange: Exchange;
  /** a name with an upstream of its own: it may lead to addresses inside */
  readonly inside: boolean;
};

export type Fetcher = {
  /** Never rejects: a failure is an entry too, or the stale answer in its place. */
  fetch(request: FetchRequest): Promise<Entry>;
};

/** For how long a failure is remembered, so that clients who ask again at once do not wear out an ailing upstream (RFC 9520). */
const FAILURE_MS = 2000;
const NETWORK_ERROR = Uint8Array.of(0, 15, 0, 2, 0, EDE_NETWORK_ERROR);
/** RD and AD: we want recursion, and to know what was validated (RFC 6840, section 5.7). */
const FLAGS = 0x0120;
const FLAG_CD = 0x0010;

export function createFetcher(deps: {
  cache: AnswerCache;
  guard: RebindingGuard;
  now: () => number;
}): Fetcher {
  const { cache, guard, now } = deps;

  async function fetch({ key, host, packet, query, exchange, inside }: FetchRequest): Promise<Entry> {
    const upstreamQuery = writeQuery(packet, query);
    const { questionEnd } = query;
    try {
      let message = await exchange.query(upstreamQuery);
      let response = readResponse(message);
      if (response !== null && (response.rcode === FORMERR || response.rcode === NOTIMP)) {
        // A server from before EDNS may say so in this way (RFC 6891, section 7).
        message = await exchange.query(withoutOpt(upstreamQuery, questionEnd));
        response = readResponse(message);
      }
      if (response === null || response.questionEnd !== questionEnd)
        return failed(key, upstreamQuery, questionEnd);
      if (response.rcode !== NOERROR && response.rcode !== NXDOMAIN) {
        return cacheFailure(key, toFailure(message, response));
      }
      // Another query of the same kind may have brought it already.
      const at = now();
      const kept = cache.get(key, at);
      if (kept !== null && !kept.failure && kept.freshUntil > at) return kept;
      const guarded = !inside && guard.forbids(host, response.addresses);
      const entry = createEntry(message, response, guarded, at);
      cache.put(key, entry);
      return entry;
    } catch {
      return failed(key, upstreamQuery, questionEnd);
    }
  }

  function cacheFailure(key: string, failure: Entry): Entry {
    return cache.fail(key, failure, now()) ?? failure;
  }

  function toFailure(message: Uint8Array, response: Response): Entry {
    const at = now();
    return { ...createEntry(message, response, false, at), freshUntil: at + FAILURE_MS, failure: true };
  }

  /** SERVFAIL of our own, with the question and nothing else. */
  function failed(key: string, upstreamQuery: Uint8Array, questionEnd: number): Entry {
    const bytes = withoutOpt(upstreamQuery, questionEnd);
    putUint16(bytes, 2, 0x8080 | SERVFAIL);
    const at = now();
    return cacheFailure(key, {
      bytes,
      rcode: SERVFAIL,
      ttls: new Uint16Array(0),
      extendedErrors: NETWORK_ERROR,
      chain: [],
      guarded: false,
      storedAt: at,
      freshUntil: at + FAILURE_MS,
      failure: true,
      retryAt: 0,
    });
  }

  return { fetch };
}

/** The question as we ask it: our own header and OPT, so that nothing else a client put in its query leaves the house. */
function writeQuery(packet: Uint8Array, query: Query): Uint8Array {
  const end = query.questionEnd;
  const bytes = new Uint8Array(end + 11);
  putUint16(bytes, 2, FLAGS | (query.flags & FLAG_CD));
  putUint16(bytes, 4, 1);
  putUint16(bytes, 10, 1);
  for (let i = QUESTION; i < end; i++) bytes[i] = packet[i] as number;
  putUint16(bytes, end + 1, TYPE_OPT);
  putUint16(bytes, end + 3, UDP_PAYLOAD);
  putUint16(bytes, end + 7, query.dnssecOk ? 0x8000 : 0);
  return bytes;
}

function withoutOpt(upstreamQuery: Uint8Array, questionEnd: number): Uint8Array {
  const bytes = upstreamQuery.slice(0, questionEnd);
  putUint16(bytes, 10, 0);
  return bytes;
}
