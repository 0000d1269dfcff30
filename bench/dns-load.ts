// Measures the DNS path over loopback: a server process with the real engine over a million made-up names, loaded in a closed
// loop by this process, by `dgram` and in batches, beside a plain `dgram` echo in the same run. Run as `node bench/dns-load.ts [--json]`.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createIndexBuilder } from '../src/blocklist/build-index.ts';
import { openIndex } from '../src/blocklist/open-index.ts';
import { createDnsHandler } from '../src/dns/handle.ts';
import { openDnsUdpBatch } from '../src/dns/udp-batch.ts';
import { openDnsUdpDgram } from '../src/dns/udp-dgram.ts';
import { createEngine } from '../src/policy/engine.ts';
import type { PolicyModel } from '../src/policy/types.ts';
import { createExchange } from '../src/resolver/exchange.ts';
import { createRandomIds } from '../src/resolver/random-ids.ts';
import { createBatchedPools } from '../src/resolver/udp-pool-batched.ts';
import { loadLibc } from '../src/udp/libc.ts';
import { createTurn } from '../src/udp/turn.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

const HOST = '127.0.0.1';
const SEED = { lo: 0x1234abcd, hi: 0x5678ef01 };
const NAMES = 1_000_000;
const ALLOWED = 5_000;
const OUTSTANDING = 128;
const WARM_MS = 600;
const MEASURE_MS = 1_500;
const SELF = fileURLToPath(import.meta.url);

type Usage = { cpuMicros: number; handled: number };

const blockedName = (i: number): string => `n${i}.list${i % 997}.example`;
const allowedName = (i: number): string => `host${i}.allowed.example`;

/** A query for A with EDNS, as stub resolvers send it. */
function queryOf(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([
    Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
    ...labels,
    Buffer.from([0, 0, 1, 0, 1]),
    Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]),
  ]);
}

// ---- the processes that are loaded

async function bindSocket(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
  socket.bind(0, HOST);
  await once(socket, 'listening');
  return socket;
}

async function runEcho(): Promise<{ port: number; handled: () => number }> {
  const socket = await bindSocket();
  let handled = 0;
  socket.on('message', (packet, from) => {
    handled++;
    packet[2] = (packet[2] as number) | 0x80;
    socket.send(packet, from.port, from.address);
  });
  return { port: socket.address().port, handled: () => handled };
}

/** One A record with a TTL of an hour for every question. */
async function runUpstream(): Promise<{ port: number; handled: () => number }> {
  const socket = await bindSocket();
  let handled = 0;
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 203, 0, 113, 7]);
  socket.on('message', (packet, from) => {
    handled++;
    let end = 12;
    while (packet[end] !== 0) end += (packet[end] as number) + 1;
    const answer = Buffer.concat([packet.subarray(0, end + 5), record]);
    answer.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
    socket.send(answer, from.port, from.address);
  });
  return { port: socket.address().port, handled: () => handled };
}

async function runGateway(
  upstreamPort: number,
  batched: boolean,
): Promise<{ port: number; handled: () => number }> {
  const libc = await loadLibc();
  const turn = createTurn();
  const builder = createIndexBuilder({ seed: SEED, toAscii: (text) => text, isPublicSuffix: () => false });
  const lines = function* (): Iterable<string> {
    for (let i = 0; i < NAMES; i++) yield blockedName(i);
  };
  builder.addList(
    { name: 'made-up', category: 'gambling', sealed: false, format: 'domains', match: 'format' },
    lines(),
  );
  const policy: PolicyModel = {
    timezone: 'Europe/London',
    timetables: {},
    groups: {
      everyone: {
        label: 'Everyone',
        default: 'allow',
        ratings: { gambling: { kind: 'unacceptable' } },
        allow: [],
        deny: [],
      },
    },
    clients: [],
    unknown: 'everyone',
    allow: [],
    deny: [],
  };
  const engine = createEngine({ seed: SEED });
  engine.setIndex(openIndex(builder.finish('bench').buffer), 1);
  engine.setPolicy(policy, 1);
  let handled = 0;
  const handler = createDnsHandler({
    engine,
    exchange: createExchange({
      upstreams: [{ address: HOST, port: upstreamPort }],
      now: Date.now,
      randomId: createRandomIds(),
      ...(batched ? { createPool: createBatchedPools({ libc, turn }) } : {}),
    }),
    note: () => handled++,
    now: Date.now,
    settings: {
      block: 'nxdomain',
      page: { v4: null, v6: null },
      serve: ['127.0.0.0/8'],
      rateLimit: { qps: 0, exempt: [] },
      forward: {},
      allowPrivate: [],
      local: { records: [], authoritative: [] },
      cache: { maxBytes: 32e6, leastTtl: 0, mostTtl: 86_400, staleMs: 86_400_000, prefetch: true },
      tunnel: { action: 'off', exempt: [] },
    },
  });
  const at = { address: HOST, port: 0, handler };
  const server = batched ? openDnsUdpBatch({ ...at, libc, turn }) : await openDnsUdpDgram(at);
  return { port: server.port, handled: () => handled };
}

async function runChild(role: string, upstreamPort: number): Promise<void> {
  const running = await (role === 'echo'
    ? runEcho()
    : role === 'upstream'
      ? runUpstream()
      : runGateway(upstreamPort, role === 'batched'));
  process.on('disconnect', () => process.exit(0));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const usage: Usage = {
      cpuMicros: user + system,
      handled: running.handled(),
    };
    process.send?.(usage);
  });
  process.send?.(running.port);
}

// ---- the load

type Child = { readonly process: ChildProcess; readonly port: number };

async function startChild(role: string, upstreamPort = 0): Promise<Child> {
  const child = fork(SELF, [`--role=${role}`, String(upstreamPort)]);
  const [port] = (await once(child, 'message')) as [number];
  return { process: child, port };
}

async function usageOf(child: Child): Promise<Usage> {
  const answer = once(child.process, 'message');
  child.process.send('usage');
  return ((await answer) as [Usage])[0];
}

/** Keeps `OUTSTANDING` queries in flight towards `port` for `ms`, and until `least` were answered (5 s at most). */
async function load(port: number, next: () => Buffer, ms: number, least = 0): Promise<void> {
  const socket = await bindSocket();
  let answered = 0;
  let sinceCheck = 0;
  let stop = false;
  const send = (): void => socket.send(next(), port, HOST);
  socket.on('message', () => {
    answered++;
    sinceCheck++;
    if (!stop) send();
  });
  for (let i = 0; i < OUTSTANDING; i++) send();
  // Datagrams that were lost leave the loop empty: it is filled again when nothing moves.
  const watch = setInterval(() => {
    if (sinceCheck === 0) for (let i = 0; i < OUTSTANDING; i++) send();
    sinceCheck = 0;
  }, 50);
  for (let spent = 0; spent < ms || (answered < least && spent < 5_000); spent += 50) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  stop = true;
  clearInterval(watch);
  socket.close();
}

async function measure(name: string, child: Child, next: () => Buffer): Promise<BenchRow> {
  // So many that every allowed name is cached before the measurement.
  await load(child.port, next, WARM_MS, 2 * ALLOWED);
  const before = await usageOf(child);
  const start = performance.now();
  await load(child.port, next, MEASURE_MS);
  const after = await usageOf(child);
  const seconds = (performance.now() - start) / 1000;
  const handled = after.handled - before.handled;
  return {
    name,
    figure: Math.round(handled / seconds),
    unit: 'queries/s',
    cpuMicros: (after.cpuMicros - before.cpuMicros) / Math.max(1, handled),
  };
}

/** Gives each packet of a list in turn, for ever, with another id each time. */
function cycle(packets: readonly Buffer[]): () => Buffer {
  let i = 0;
  return () => {
    const packet = packets[i % packets.length] as Buffer;
    packet.writeUInt16BE(i++ & 0xffff, 0);
    return packet;
  };
}

/** A row for each kind of query, and the echo beside them; about 25 seconds. */
export async function measureDns(): Promise<BenchRow[]> {
  const upstream = await startChild('upstream');
  const children = [upstream];
  try {
    const echo = await startChild('echo');
    children.push(echo);
    const dgram = await startChild('dgram', upstream.port);
    children.push(dgram);
    const batched = await startChild('batched', upstream.port);
    children.push(batched);
    const blocked = Array.from({ length: 20_000 }, (_, i) => queryOf(blockedName((i * 49_999) % NAMES)));
    const allowed = Array.from({ length: ALLOWED }, (_, i) => queryOf(allowedName(i)));
    const mixed = allowed.map((packet, i) => (i % 5 === 0 ? (blocked[i] as Buffer) : packet));
    let fresh = 0;
    const rows = [await measure('dns: plain dgram echo', echo, cycle(blocked))];
    for (const [how, gateway] of [
      ['dgram', dgram],
      ['batched', batched],
    ] as const) {
      rows.push(
        await measure(`dns, ${how}: blocked`, gateway, cycle(blocked)),
        await measure(`dns, ${how}: cached`, gateway, cycle(allowed)),
        await measure(`dns, ${how}: mixed, 20 % blocked`, gateway, cycle(mixed)),
        await measure(`dns, ${how}: miss, asked upstream`, gateway, () =>
          queryOf(`m${fresh++}.miss.example`),
        ),
      );
    }
    return rows;
  } finally {
    for (const child of children) child.process.disconnect();
  }
}

const role = process.argv.find((argument) => argument.startsWith('--role='))?.slice('--role='.length);
if (role !== undefined) {
  await runChild(role, Number(process.argv.at(-1)));
} else if (import.meta.main) {
  const rows = await measureDns();
  process.stdout.write(`${process.argv.includes('--json') ? JSON.stringify(rows) : tableOf(rows)}\n`);
}
