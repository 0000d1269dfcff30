// What the DNS and the proxy thread share: the engine and what is in force in it, the way to the audit writer, counters,
// and the orderly end. What a thread listens on and answers is its own (dns-thread.ts, proxy-thread.ts).

import { parentPort, workerData } from 'node:worker_threads';
import { openIndex } from '../blocklist/open-index.ts';
import { createEngine } from '../policy/engine.ts';
import type { Decision, DnsNote, Engine } from '../policy/types.ts';
import type { DataThreadStart, FromThread, ThreadReport, ToDataThread, Update } from './messages.ts';
import { createCollector } from './collect-garbage.ts';
import { threadStats } from './thread-stats.ts';
import { createRecorder } from './recorder.ts';
import { createUpstreamLog } from './upstream-log.ts';

export type DataContext = {
  readonly start: DataThreadStart;
  readonly engine: Engine;
  /** one decision, one event in the audit log */
  readonly record: (decision: Decision) => void;
  /** a DNS decision, counted with those like it */
  readonly note: DnsNote;
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', msg: string, fields?: Record<string, unknown>) => void;
};

export type DataRunning = {
  /** the engine has `update` in force already; settings are the caller's to take up */
  updated(update: Update): Promise<void>;
  report(): ThreadReport;
  /** stop taking, finish what is under way, let go after `graceMs` at the latest */
  drain(graceMs: number): Promise<void>;
};

const EVERY_MS = 1_000;
/** How long the end of a thread waits for the audit writer to make room for what was counted. */
const FINISH_MS = 400;

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
    case 'records':
    case 'purge':
      break;
  }
}

/** Runs a data thread: builds what all share, lets `run` open its sockets, then serves messages from main until drained. */
export async function runDataThread(run: (context: DataContext) => Promise<DataRunning>): Promise<void> {
  const port = parentPort!;
  const start = workerData as DataThreadStart;
  const send = (message: FromThread): void => port.postMessage(message);
  const log: DataContext['log'] = (level, msg, fields = {}) => send({ kind: 'log', level, msg, fields });
  const engine = createEngine({
    seed: start.inForce.seed,
    onError: (error) => log('error', 'deciding', { err: String(error) }),
  });
  const recorder = createRecorder({ start, generations: engine.generations, now: Date.now, log });
  const { policy, overrides, index } = start.inForce;
  putInForce(engine, { kind: 'policy', policy });
  putInForce(engine, { kind: 'overrides', overrides });
  if (index !== null) putInForce(engine, { kind: 'index', index });

  const running = await run({
    start,
    engine,
    record: recorder.record,
    note: recorder.note,
    now: Date.now,
    log,
  });

  const collector = createCollector();
  const upstreamLog = createUpstreamLog({ log });
  const sendStats = (): void => {
    const { stats, upstreams, limited } = running.report();
    upstreamLog.look(upstreams, performance.now());
    send({ kind: 'stats', stats: { ...stats, ...recorder.stats(), ...threadStats() }, upstreams, limited });
  };
  const timer = setInterval(() => {
    recorder.turn();
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
    void running
      .drain(message.graceMs)
      .finally(() => recorder.finish(FINISH_MS))
      .finally(() => {
        sendStats();
        port.close();
      });
  });
  send({ kind: 'ready' });
}
