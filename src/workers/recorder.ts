// How a data thread hands its decisions to the audit writer: through its ring, and what may not be lost by a file of its own
// when the ring is full. What shares an event is decided in audit/; the shared memory is here.

import { encodeDecision, mustKeep } from '../audit/event.ts';
import { createSpill } from '../audit/spill.ts';
import { createTally } from '../audit/tally.ts';
import { typeName } from '../dns/question-text.ts';
import type { Decision, DnsNote, Generations } from '../policy/types.ts';
import type { DataThreadStart } from './messages.ts';
import { openRingProducer } from './ring.ts';

export type Recorder = {
  /** one decision, one event */
  record(decision: Decision): void;
  /** a DNS decision, counted together with those like it */
  readonly note: DnsNote;
  /** once a second: tells a part of what was counted, hands what was spilled to the writer */
  turn(): void;
  /** tells all that was counted, waiting for room until `deadlineMs` from now at most */
  finish(deadlineMs: number): Promise<void>;
  stats(): Record<string, number>;
};

/** The part of the ring that is kept free for blocks and overrides. */
const KEPT_ROOM = 1 / 4;
/** Turns until every counted visit was told. */
const TURNS = 4;
const RETRY_MS = 40;

export function createRecorder(deps: {
  readonly start: Pick<DataThreadStart, 'name' | 'ring' | 'spillDir'>;
  readonly generations: Generations;
  readonly now: () => number;
  readonly log: (level: 'error', msg: string) => void;
}): Recorder {
  const { start } = deps;
  const ring = openRingProducer(start.ring, encodeDecision);
  const spare = Math.floor(start.ring.byteLength * KEPT_ROOM);
  const spill = createSpill({ dir: start.spillDir, name: start.name, now: deps.now });
  let dropped = 0;
  let spilled = 0;
  let lost = 0;

  const keep = (decision: Decision): void => {
    if (spill.append(decision)) {
      spilled += 1;
      return;
    }
    if (lost === 0)
      deps.log('error', 'a block could not be kept for the audit log: its ring and its spill are full');
    lost += 1;
  };
  const tally = createTally({
    typeName,
    generations: deps.generations,
    write: (decision) => ring.write(decision, mustKeep(decision) ? 0 : spare),
    writeOpen: ring.writeOpen,
    add: ring.add,
    spill: keep,
    drop: (count) => (dropped += count),
  });

  return {
    record(decision) {
      const kept = mustKeep(decision);
      if (ring.write(decision, kept ? 0 : spare)) return;
      if (kept) keep(decision);
      else dropped += 1;
    },
    note: tally.note,
    turn() {
      tally.flush(1 / TURNS);
      spill.roll();
    },
    async finish(deadlineMs) {
      for (let waited = 0; !tally.flush(1) && waited < deadlineMs; waited += RETRY_MS)
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      dropped += tally.waiting();
      spill.roll();
    },
    stats: () => ({
      audit_dropped: dropped,
      audit_spilled: spilled,
      audit_lost: lost,
      audit_waiting: tally.waiting(),
      audit_ring_fill: ring.fill(),
    }),
  };
}
