// Runs the whole gateway: wires the rooms and the threads, reloads on request, takes all down in order.

import { randomBytes } from 'node:crypto';
import type net from 'node:net';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import type { StoreSettings } from '../audit/store.ts';
import type { GatewayConfig } from '../config/types.ts';
import { createEngine } from '../policy/engine.ts';
import { takeDataLock } from '../state/data-lock.ts';
import { createAuditWriter } from '../workers/audit-writer.ts';
import { createCollector } from '../workers/collect-garbage.ts';
import { toDataSettings, type Listening } from '../workers/data-settings.ts';
import { openDnsSockets } from '../workers/dns-sockets.ts';
import { createListKeeper } from '../workers/list-keeper.ts';
import { createFigures } from '../workers/figures.ts';
import { createHealth } from '../workers/health.ts';
import { createHistory } from '../workers/history.ts';
import { createLimitedClients } from '../workers/limited-clients.ts';
import { createMetrics } from '../workers/metrics.ts';
import { createOverrideKeeper } from '../workers/override-keeper.ts';
import { createPool, type Pool } from '../workers/pool.ts';
import { createReader } from '../workers/reader.ts';
import { createRingMemory } from '../workers/ring.ts';
import { load, prepareDataDir, type GatewayOptions } from './load.ts';
import { openApp } from './open-app.ts';
import { localAuthor, openRecords } from './open-records.ts';
import { createReload } from './reload.ts';
import { settlePorts } from './settle-ports.ts';
import { createCertificateWatch } from './watch-certificate.ts';

export type ServedGateway = {
  /** reads the files again; on a mistake it is logged and all stays as it was */
  reload(): Promise<void>;
  /** answers no more, writes everything down, lets go of the data directory */
  stop(): Promise<void>;
};

/** `signal` gives up a start that is under way, a long build of the index above all. */
export type ServeOptions = GatewayOptions & { readonly signal?: AbortSignal };

const RING_BYTES = 1 << 20;
/** how often sessions that are over are removed */
const SWEEP_MS = 60_000;
const DRAIN_MS = 2_500;
const AUDIT_STOP_MS = 1_500;

/** The data threads' specifications, each with a ring of its own for the audit writer. */
function dataThreads(config: GatewayConfig, listening: Listening) {
  const { dot, doh } = listening;
  const { proxyProtocol } = config.listen;
  const streams = { dot, doh, proxyProtocol, ticketKeys: randomBytes(48) };
  return (['dns', 'proxy'] as const).flatMap((kind) =>
    Array.from({ length: config.workers[kind] }, (_, n) => ({
      name: `${kind}-${n}`,
      kind,
      n,
      entry: new URL(`../workers/${kind}-thread.ts`, import.meta.url),
      listen: listening[kind],
      streams,
      ring: createRingMemory(RING_BYTES),
      limits: { maxOldGenerationSizeMb: kind === 'dns' ? 192 : 256, maxYoungGenerationSizeMb: 8 },
    })),
  );
}

const DAY_MS = 86_400_000;

function auditSettings(config: GatewayConfig, dataDir: string): StoreSettings {
  const { retention, maxBytes, sync } = config.audit;
  return {
    file: join(dataDir, 'audit.db'),
    site: config.school.site,
    sync,
    retention: {
      blockedDays: retention.blockedMs / DAY_MS,
      allowedDays: retention.allowedMs / DAY_MS,
      maxBytes,
    },
  };
}

const text = ({ address, port }: { address: string; port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** Runs the gateway. @throws Error with what to do, when it cannot start; nothing is left running then */
export async function serveGateway(options: ServeOptions): Promise<ServedGateway> {
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const undo: (() => Promise<void> | void)[] = [];
  const down = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return await start(options, log, undo, down);
  } catch (error) {
    await down();
    throw error;
  }
}

async function start(
  { configFile, dataDir, signal }: ServeOptions,
  log: Logger,
  undo: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
): Promise<ServedGateway> {
  const loaded = load(configFile, log);
  const { config } = loaded;
  prepareDataDir(dataDir);
  const lock = takeDataLock(dataDir);
  if (lock === null)
    throw new Error(`another gateway runs with ${dataDir}: stop it, or name another directory with --data`);
  undo.push(() => lock.release());

  let pool: Pool | null = null;
  const lists = createListKeeper({
    log,
    snapshotFile: join(dataDir, 'index.snapshot'),
    now: Date.now,
    onIndex: async (index, generation) => {
      engine.setIndex(index, generation);
      // The first index may be built before the threads are up.
      await pool?.ready;
      await pool?.apply({ kind: 'index', index: { buffer: index.buffer, generation } });
    },
  });
  const engine = createEngine({
    seed: lists.seed,
    onError: (error) => log.error({ err: error }, 'deciding'),
  });
  undo.push(() => lists.stop());
  signal?.addEventListener('abort', () => lists.stop(), { once: true });
  const listening = await settlePorts(config);
  const records = openRecords({
    dataDir,
    config,
    engine,
    log,
    webUrl: () => `http://${text(listening.web[0]!)}/setup`,
  });
  undo.push(() => records.state.close());
  const revision = records.revisions.takeFile(
    { model: loaded.policy, digest: loaded.policyDigest, file: config.policyFile },
    localAuthor(),
  );
  engine.setPolicy(loaded.policy, revision.generation);
  const held = lists.index();
  if (held !== null) engine.setIndex(held.index, held.generation);

  const threads = dataThreads(config, listening);
  const sockets = await openDnsSockets({
    mode: config.dns.udp,
    endpoints: listening.dns,
    threads: config.workers.dns,
  });
  undo.push(() => sockets.close());
  const { udp } = sockets;
  log.info(udp, udp.kind === 'batched' ? 'datagrams are read in batches' : 'datagrams are read one by one');
  const spillDir = join(dataDir, 'spill');
  const writer = createAuditWriter({
    log,
    outbox: records.outbox,
    now: Date.now,
    onReplaced: () => {
      records.overrides.republish();
      records.changeLog.republish();
      writer.pump();
    },
    start: {
      store: auditSettings(config, dataDir),
      rings: threads.map(({ ring }) => ring),
      spillDir,
    },
  });
  undo.push(() => writer.stop(AUDIT_STOP_MS));
  let overridesGeneration = 1;
  const history = createHistory({ clock: () => performance.now() });
  const limited = createLimitedClients({ now: Date.now, log });
  const dataPool = createPool({
    log,
    onReport: (thread, report) => {
      history.add(thread, report);
      limited.take(report.limited);
    },
    onDeath: history.died,
    inForce: {
      seed: lists.seed,
      index: held && { buffer: held.index.buffer, generation: held.generation },
      policy: { model: loaded.policy, generation: revision.generation },
      overrides: { list: records.overrides.current(), generation: overridesGeneration },
      settings: toDataSettings(config, listening),
      records: { records: records.localRecords.current(), authoritative: config.dns.local.authoritative },
    },
    threads: (inForce) =>
      threads.map(({ name, kind, n, entry, listen, streams, ring, limits }) => ({
        name,
        entry,
        limits,
        start: () => ({
          name,
          listen,
          streams,
          sockets: kind === 'dns' ? sockets.ofThread(n) : null,
          ring,
          spillDir,
          inForce: inForce(),
        }),
      })),
  });
  pool = dataPool;
  undo.push(() => dataPool.stop(DRAIN_MS));
  engine.setOverrides(records.overrides.current(), overridesGeneration);

  // Beside the start of the threads and of the web part.
  const fresh = lists.refresh(config.lists);

  const keeper = createOverrideKeeper({
    log,
    now: Date.now,
    overrides: records.overrides,
    apply: (list) => {
      overridesGeneration += 1;
      engine.setOverrides(list, overridesGeneration);
      return dataPool.apply({ kind: 'overrides', overrides: { list, generation: overridesGeneration } });
    },
    onEnded: () => writer.pump(),
  });
  undo.push(() => keeper.stop());

  const sweep = setInterval(() => records.sessions.sweep(), SWEEP_MS);
  undo.push(() => clearInterval(sweep));
  const certificate = createCertificateWatch({
    log,
    tls: () => dataPool.inForce().settings.tls,
    now: Date.now,
  });
  certificate.look();
  undo.push(() => certificate.stop());
  const reader = createReader({ file: join(dataDir, 'audit.db') });
  undo.push(() => reader.close());
  const local = new WeakSet<net.Socket>();
  const collector = createCollector();
  const reloads = createReload({
    configFile,
    first: loaded,
    log,
    listening,
    engine,
    records,
    pool: dataPool,
    writer,
    lists,
    collector,
    certificate,
  });
  const metrics = createMetrics({ pool: dataPool, writer, lists, limited });
  const health = createHealth({
    pool: dataPool,
    writer,
    lists,
    udp,
    configProblem: reloads.problem,
    needRestart: reloads.needRestart,
    now: Date.now,
  });
  const figures = createFigures({ pool: dataPool, history, limited });
  const app = await openApp({
    config,
    records,
    engine,
    lists: () => lists.index()?.index.lists ?? [],
    reader,
    log,
    dnsInForce: () => ({ ...dataPool.inForce().settings, records: dataPool.inForce().records }),
    live: {
      applyOverrides: async () => {
        writer.pump();
        await keeper.sync();
      },
      applyRecords: async () => {
        writer.pump();
        const { authoritative } = dataPool.inForce().records;
        const local = { records: records.localRecords.current(), authoritative };
        await dataPool.apply({ kind: 'records', records: local });
      },
      purgeDns: (names) => dataPool.apply({ kind: 'purge', names }),
      health,
      metrics: metrics.text,
      figures,
      principalOf: (request) =>
        local.has(request.raw.socket) ? localPrincipal(request.headers['x-local-user']) : null,
    },
  });
  undo.push(() => app.close());

  await Promise.all([dataPool.ready, writer.ready]);
  // Without an index nothing can be let through yet: wait for it. With one, a changed list is built beside it.
  if (held === null && !(await fresh)) {
    throw new Error(
      ['the lists cannot be used and there is no earlier index:', ...lists.state().problems].join('\n'),
    );
  }
  const { listenControl, listenWeb } = await import('../web/listen.ts');
  const control = await listenControl(app, join(dataDir, 'control.sock'), (socket) => local.add(socket));
  undo.push(() => control.close(500));
  for (const endpoint of listening.web) {
    const web = await listenWeb(app, endpoint);
    undo.push(() => web.close(500));
  }
  records.setup.begin();
  log.info(
    `filtering ${lists.state().names} names of ${lists.state().lists} lists for ${config.school.name}`,
  );
  log.info(
    {
      dns: listening.dns.map(text),
      dot: listening.dot.map(text),
      doh: listening.doh.map(text),
      udp: udp.kind,
      proxy: listening.proxy.map(text),
      web: listening.web.map(text),
      names: lists.state().names,
      pid: process.pid,
      startMs: Math.round(performance.now()),
    },
    'ready',
  );

  collector.soon();
  let reloading = Promise.resolve();
  return {
    reload: () => (reloading = reloading.then(reloads.reload)),
    async stop() {
      log.info('stopping');
      // A build under way is given up, so that a reload that waits for it ends.
      lists.stop();
      await reloading;
      await stop();
      log.info('stopped');
    },
  };
}

function localPrincipal(user: string | string[] | undefined): { who: string; role: 'technician' } {
  const name = typeof user === 'string' && /^[\w.-]{1,64}$/.test(user) ? user : 'unknown';
  return { who: `local:${name}`, role: 'technician' };
}
