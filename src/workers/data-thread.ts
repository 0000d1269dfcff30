// What the DNS and the proxy thread share: the engine and what is in force in it, the way to the audit writer, counters,
// and the orderly end. What a thread listens on and answers is its own (dns-thread.ts, proxy-thread.ts).

import { parentPort, workerData } from 'node:worker_threads';
import { encodeDecision, mustKeep } from '../audit/event.ts';
import { createSpill } from '../audit/spill.ts';
import { openIndex } from '../blocklist/open-index.ts';
import { createEngine } from '../policy/engine.ts';
import type { Decision, Engine } from '../policy/types.ts';
import type { DataThreadStart, FromThread, ToDataThread, Update } from './messages.ts';
import { createCollector } from './collect-garbage.ts';
import { heapStats } from './heap-stats.ts';
import { openRingProducer } from './ring.ts';

export type DataContext = {
  readonly start: DataThreadStart;
  readonly engine: Engine;
  readonly record: (decision: Decision) => void;
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', msg: string, fields?: Record<string, unknown>) => void;
};

export type DataRunning = {
  /** the engine has `update` in force already; settings are the caller's to take up */
  updated(update: Update): Promise<void>;
  stats(): Record<string, number>;
  /** stop taking, finish what is under way, let go after `graceMs` at the latest */
  drain(graceMs: number): Promise<void>;
};

const EVERY_MS = 1_000;

function createRecorder(start: DataThreadStart, log: DataContext['log']) {
  const ring = openRingProducer(start.ring, encodeDecision);
  const spill = createSpill({ dir: start.spillDir, name: start.name, now: Date.now });
  let dropped = 0;
  let spilled = 0;
  let lost = 0;
  return {
    record(decision: Decision): void {
      if (ring.write(decision)) return;
      if (!mustKeep(decision)) {
        dropped += 1;
        return;
      }
      if (spill.append(decision)) {
        spilled += 1;
        return;
      }
      if (lost === 0)
        log('error', 'a block could not be kept for the audit log: its ring and its spill are full');
      lost += 1;
    },
    /** hands what was spilled to the writer */
    roll: () => spill.roll(),
    stats: (): Record<string, number> => ({
      audit_dropped: dropped,
      audit_spilled: spilled,
      audit_lost: lost,
    }),
  };
}

function putInForce(engine: Engine, update: Update): void {
  switch (update.kind) {
    case 'index':
      engine.setIndex(openIndex(update.index.buffer), update.index.generation);
      break;
    case 'policy':
      engine.setPolicy(update.policy.model, update.policy.generation);
      break;
    case 'overrides':
      engine.setOverrides(update.overrides.list, update.overrides.generation);
      break;
    case 'settings':
      break;
  }
}

/** Runs a data thread: builds what all share, lets `run` open its sockets, then serves messages from main until drained. */
export async function runDataThread(run: (context: DataContext) => Promise<DataRunning>): Promise<void> {
  const port = parentPort!;
  const start = workerData as DataThreadStart;
  const send = (message: FromThread): void => port.postMessage(message);
  const log: DataContext['log'] = (level, msg, fields = {}) => send({ kind: 'log', level, msg, fields });
  const recorder = createRecorder(start, log);
  const engine = createEngine({
    seed: start.inForce.seed,
    onError: (error) => log('error', 'deciding', { err: String(error) }),
  });
  const { policy, overrides, index } = start.inForce;
  putInForce(engine, { kind: 'policy', policy });
  putInForce(engine, { kind: 'overrides', overrides });
  if (index !== null) putInForce(engine, { kind: 'index', index });

  const running = await run({ start, engine, record: recorder.record, now: Date.now, log });

  const collector = createCollector();
  const sendStats = (): void =>
    send({ kind: 'stats', stats: { ...running.stats(), ...recorder.stats(), ...heapStats() } });
  const timer = setInterval(() => {
    recorder.roll();
    sendStats();
  }, EVERY_MS);
  port.on('message', (message: ToDataThread) => {
    if (message.kind === 'update') {
      putInForce(engine, message.update);
      collector.soon();
      running.updated(message.update).then(
        () => send({ kind: 'applied', id: message.id }),
        (error: unknown) => log('error', 'a change could not be put in force', { err: String(error) }),
      );
      return;
    }
    clearInterval(timer);
    void running.drain(message.graceMs).finally(() => {
      recorder.roll();
      sendStats();
      port.close();
    });
  });
  send({ kind: 'ready' });
}
