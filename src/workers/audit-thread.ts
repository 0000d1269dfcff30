// Thread entry: the only writer of audit.db. Empties the rings of the data threads a few times a second, takes in what they
// spilled, writes each batch as one transaction, and keeps the database within its limits.

import { parentPort, workerData } from 'node:worker_threads';
import { decodeDecision, withMore, type DecodedDecision } from '../audit/event.ts';
import { createTextReader } from '../audit/utf8.ts';
import { openStore } from '../audit/store.ts';
import type { AuditThreadStart, FromAuditWriter, ToAuditWriter } from './messages.ts';
import { lowerPriority } from './lower-priority.ts';
import { threadStats } from './thread-stats.ts';
import { openRingConsumer } from './ring.ts';

/** A batch is on disk at most this long after its first event. */
const BATCH_MS = 150;
const BATCH_EVENTS = 1_000;
const MAINTAIN_EVERY_MS = 1_000;
const STATS_EVERY_MS = 1_000;
/** Drains at the end, a pause after each: more than a ring waits for a thread that was killed with a record in its hand. */
const LAST_DRAINS = 30;
const LAST_PAUSE_MS = 5;

lowerPriority();
const start = workerData as AuditThreadStart;
const port = parentPort!;
const send = (message: FromAuditWriter): void => port.postMessage(message);
const log = (level: 'info' | 'warn' | 'error', msg: string, fields: Record<string, unknown> = {}): void =>
  send({ kind: 'log', level, msg, fields });

const store = openStore({ ...start.store, now: Date.now, log });
const rings = start.rings.map((memory, n) => {
  const source = `ring ${n}`;
  return { source, ring: openRingConsumer(memory, { after: store.markOf(source) }) };
});
const readText = createTextReader();
let undecodable = 0;

function takeBatch(): number {
  const batch: DecodedDecision[] = [];
  const marks: Record<string, string> = {};
  for (const { source, ring } of rings) {
    const taken = ring.drain(BATCH_EVENTS - batch.length, (bytes, offset, length, added) => {
      const decision = decodeDecision(bytes, offset, length, readText);
      if (decision === null) undecodable += 1;
      else batch.push(added === null ? decision : withMore(decision, added));
    });
    if (taken > 0) marks[source] = ring.mark();
  }
  if (batch.length > 0) store.write(batch, marks);
  // Not before: until they are written, a successor of this thread must find them again.
  for (const { ring } of rings) ring.release();
  return batch.length;
}

function drainAll(): void {
  while (takeBatch() === BATCH_EVENTS);
  store.takeSpills(start.spillDir);
}

/** The data threads have ended by now, some perhaps killed: what they noted is taken, whatever they held on to. */
function drainToEnd(): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let drains = 0; drains < LAST_DRAINS; drains++) {
    drainAll();
    if (rings.every(({ ring }) => ring.fill() === 0)) return;
    Atomics.wait(pause, 0, 0, LAST_PAUSE_MS);
  }
}

let timer: NodeJS.Timeout;
const turn = (): void => {
  try {
    drainAll();
  } catch (error) {
    log('error', 'writing the audit log', { err: (error as Error).message });
  }
  timer = setTimeout(turn, BATCH_MS);
};
turn();

const maintain = setInterval(() => {
  try {
    store.maintain(Date.now());
  } catch (error) {
    log('error', 'retention of the audit log', { err: (error as Error).message });
  }
}, MAINTAIN_EVERY_MS);

const sendStats = (): void =>
  send({
    kind: 'stats',
    stats: { ...store.stats(), ...threadStats(), undecodable },
    upstreams: [],
    limited: [],
  });
const stats = setInterval(sendStats, STATS_EVERY_MS);

port.on('message', (message: ToAuditWriter) => {
  if (message.kind === 'copies') {
    try {
      store.copy(message.rows);
      send({ kind: 'copied', ids: message.rows.map((row) => row.id) });
    } catch (error) {
      // The rows stay in the outbox and come again.
      log('error', 'copying changes to the audit log', { err: (error as Error).message });
    }
    return;
  }
  clearTimeout(timer);
  clearInterval(maintain);
  clearInterval(stats);
  drainToEnd();
  sendStats();
  store.close();
  port.close();
});
send({ kind: 'ready' });
