import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { toDataSettings } from '../../src/workers/data-settings.ts';
import { openDnsSockets, type DnsSockets } from '../../src/workers/dns-sockets.ts';
import { createHistory } from '../../src/workers/history.ts';
import type { DataThreadStart, ThreadReport } from '../../src/workers/messages.ts';
import { THREAD_METRICS } from '../../src/workers/metric-catalogue.ts';
import { probeEndpoint } from '../../src/workers/own-addresses.ts';
import { createPool, type Pool } from '../../src/workers/pool.ts';
import { createRingMemory } from '../../src/workers/ring.ts';
import { eventually } from '../support/api.ts';
import { testCertificate, testKey } from '../support/certificate.ts';
import { askDns } from '../support/dns-client.ts';

const thread = (name: string): URL => new URL(`./${name}.ts`, import.meta.url);
const dir = mkdtempSync(join(tmpdir(), 'thread-figures-'));
const history = createHistory({ clock: () => performance.now() });
let pool: Pool;
let sockets: DnsSockets;
let port = 0;

/** A DNS and a proxy thread of the gateway, on the configuration that is shipped. */
beforeAll(async () => {
  const loaded = loadConfig(fileURLToPath(new URL('../../config/gateway.yaml', import.meta.url)));
  if (!loaded.ok) throw new Error('the configuration that is shipped has mistakes');
  const any = { address: '127.0.0.1', port: 0 };
  const dns = [await probeEndpoint(any, ['udp', 'tcp'])];
  const dot = [await probeEndpoint(any, ['tcp'])];
  const doh = [await probeEndpoint(any, ['tcp'])];
  port = dns[0]!.port;
  sockets = await openDnsSockets({ mode: 'auto', endpoints: dns, threads: 1 });
  const settings = toDataSettings(loaded.config, { dns, dot, doh, proxy: [], web: [any] });
  pool = createPool({
    log: pino({ level: 'silent' }),
    onReport: history.add,
    onDeath: history.died,
    inForce: {
      seed: { lo: 1, hi: 2 },
      index: null,
      policy: { model: loaded.policy, generation: 1 },
      overrides: { list: [], generation: 1 },
      settings: {
        ...settings,
        // Nobody is there: no test asks the internet.
        upstreams: [{ address: '127.0.0.1', port: (await probeEndpoint(any, ['udp'])).port }],
        tls: { cert: testCertificate, key: testKey, expiresAt: Infinity, host: null },
      },
      records: { records: [], authoritative: [] },
    },
    threads: (inForce) =>
      (['dns', 'proxy'] as const).map((kind) => {
        const ring = createRingMemory(65_536);
        return {
          name: `${kind}-0`,
          entry: kind === 'dns' ? thread('mortal-dns-thread') : thread('../../src/workers/proxy-thread'),
          limits: {},
          start: (): DataThreadStart => ({
            name: `${kind}-0`,
            listen: kind === 'dns' ? dns : [any],
            streams: { dot, doh, proxyProtocol: { on: [], from: [] }, ticketKeys: randomBytes(48) },
            sockets: kind === 'dns' ? sockets.ofThread(0) : null,
            ring,
            spillDir: join(dir, 'spill'),
            inForce: inForce(),
          }),
        };
      }),
  });
  await pool.ready;
});
afterAll(async () => {
  await pool?.stop(500);
  sockets?.close();
  rmSync(dir, { recursive: true, force: true });
});

const reportOf = (
  name: string,
  good: (report: ThreadReport) => boolean = () => true,
): Promise<ThreadReport> =>
  eventually(async () => {
    const { report } = pool.reports().find((one) => one.thread === name) ?? {};
    return report !== undefined && good(report) ? report : null;
  }, 10_000);

/** Said of each upstream instead, or of each transport. */
const ELSEWHERE = [
  'queries',
  ...['queries', 'sent', 'retried', 'hedged', 'tcp', 'mismatched', 'spoofed', 'unreachable', 'down'].map(
    (key) => `upstream_${key}`,
  ),
];
/** Only where datagrams are read in batches. */
const BATCHED = ['udp_overflowed', 'udp_batches', 'udp_perBatch', 'udp_queuedBytes'];

describe('the figures that threads send', () => {
  it.each(['dns', 'proxy'] as const)(
    'all of a %s thread are in the catalogue, and the catalogue has no others',
    async (kind) => {
      const { stats } = await reportOf(`${kind}-0`);
      const known = THREAD_METRICS[kind].flatMap(({ from }) => Object.keys(from));
      expect(Object.keys(stats).filter((key) => !known.includes(key) && !ELSEWHERE.includes(key))).toEqual(
        [],
      );
      const optional = sockets.udp.kind === 'batched' ? [] : BATCHED;
      expect(known.filter((key) => !(key in stats) && !optional.includes(key))).toEqual([]);
      for (const [key, value] of Object.entries(stats))
        expect([key, Number.isFinite(value)]).toEqual([key, true]);
    },
  );

  it('begin at 0 with the successor of a thread that died, and the last minute has both', async () => {
    for (let n = 0; n < 5; n++) await askDns({ port }, `n${n}.local`);
    await reportOf('dns-0', ({ stats }) => stats['queries_udp'] === 5);
    void pool.apply({ kind: 'purge', names: ['die.example'] }).catch(() => {});
    await eventually(async () => pool.health()[0]!.restarts === 1 && pool.health()[0]!.alive);
    const { stats } = await reportOf('dns-0');
    expect([stats['queries_udp'], stats['special']]).toEqual([0, 0]);
    await askDns({ port }, 'again.local');
    await reportOf('dns-0', (report) => report.stats['queries_udp'] === 1);
    const minute = history.minute(['dns-0']);
    expect([minute.rise('queries_udp'), minute.rise('special')]).toEqual([6, 6]);
  });
});
