// Queries that wait for an upstream: all that is needed to answer them later, in objects that are used again. A query that
// is answered at once never comes here.

import type { Exchange } from '../resolver/types.ts';
import type { Key } from './answer-store.ts';
import type { KnownAsker } from './askers.ts';
import type { Transport } from './types.ts';
import type { Query } from './wire.ts';
import { QUESTION, createQuery } from './wire.ts';

/** Header and the longest question. */
const ROOM = QUESTION + 255 + 4;

export type Turn = {
  /** header and question as they came; what followed was read into `query` */
  readonly packet: Uint8Array;
  readonly query: Query;
  readonly key: Key;
  /** length of the packet as it came */
  length: number;
  /** null when nobody waits: an answer that is renewed before it is needed */
  asker: KnownAsker | null;
  transport: Transport;
  reply: ((answer: Uint8Array) => void) | null;
  startedAt: number;
  exchange: Exchange;
  /** a name with an upstream of its own: it may lead to addresses inside */
  inside: boolean;
  /** safe search: the name in wire form whose addresses are asked for instead, or null */
  target: Uint8Array | null;
  /** asked again without OPT, for a server from before EDNS */
  plain: boolean;
  /** takes the upstream's answer; made once with the turn */
  readonly arrived: (answer: Uint8Array | null) => void;
};

export type Turns = {
  /** A turn for the query at hand, or null when as many wait as may. `asker` is null when nobody waits. */
  begin(packet: Uint8Array, query: Query, key: Key, asker: KnownAsker | null): Turn | null;
  end(turn: Turn): void;
  waiting(): number;
};

/** More are never waited for at once: beyond it, clients are told to come again. */
const MAX_WAITING = 16_384;
/** When so many wait in all, nobody may have more than so many among them, or a few could take all the room there is upstream. */
const BUSY = 2048;
const SHARE = 128;
/** Kept for the next when they are over; the rest is left to the collector. */
const KEPT = 1024;

export function createTurns(deps: {
  arrived: (turn: Turn, answer: Uint8Array | null) => void;
  exchange: Exchange;
}): Turns {
  const idle: Turn[] = [];
  let waiting = 0;

  function make(): Turn {
    const turn: Turn = {
      packet: new Uint8Array(ROOM),
      query: createQuery(),
      key: { lo: 0, hi: 0, type: 0, variant: 0 },
      length: 0,
      asker: null,
      transport: 'udp',
      reply: null,
      startedAt: 0,
      exchange: deps.exchange,
      inside: false,
      target: null,
      plain: false,
      arrived: (answer) => deps.arrived(turn, answer),
    };
    return turn;
  }

  return {
    begin(packet, query, key, asker) {
      if (waiting >= MAX_WAITING) return null;
      if (asker !== null) {
        if (waiting >= BUSY && asker.bucket.waiting >= SHARE) return null;
        asker.bucket.waiting++;
      }
      waiting++;
      const turn = idle.pop() ?? make();
      for (let i = 0; i < query.questionEnd; i++) turn.packet[i] = packet[i] as number;
      copyQuery(query, turn.query);
      turn.key.lo = key.lo;
      turn.key.hi = key.hi;
      turn.key.type = key.type;
      turn.key.variant = key.variant;
      turn.plain = false;
      turn.target = null;
      turn.inside = false;
      turn.exchange = deps.exchange;
      turn.asker = asker;
      return turn;
    },
    end(turn) {
      waiting--;
      if (turn.asker !== null) turn.asker.bucket.waiting--;
      turn.asker = null;
      turn.reply = null;
      if (idle.length < KEPT) idle.push(turn);
    },
    waiting: () => waiting,
  };
}

function copyQuery(from: Query, to: Query): void {
  to.id = from.id;
  to.flags = from.flags;
  to.nameEnd = from.nameEnd;
  to.lastLabel = from.lastLabel;
  to.labels = from.labels;
  to.type = from.type;
  to.class = from.class;
  to.questionEnd = from.questionEnd;
  to.edns = from.edns;
  to.udpSize = from.udpSize;
  to.dnssecOk = from.dnssecOk;
}
