// Measures the proxy over loopback: a proxy process with the real engine, loaded in a closed loop by this process, beside
// the origin without a proxy and a bare socket forwarder in the same run. Run as `node bench/proxy-load.ts [--json]`.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createIndexBuilder } from '../src/blocklist/build-index.ts';
import { openIndex } from '../src/blocklist/open-index.ts';
import { createEngine } from '../src/policy/engine.ts';
import type { PolicyModel } from '../src/policy/types.ts';
import { openProxy } from '../src/proxy/server.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

const HOST = '127.0.0.1';
const SEED = { lo: 0x1234abcd, hi: 0x5678ef01 };
const NAMES = 100_000;
const CONNECTIONS = 32;
const WARM_MS = 1_200;
const MEASURE_MS = 1_500;
const BODY = 'x'.repeat(1024);
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Type: text/plain\r\nETag: "1k"\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
);
const HEAD_END = '\r\n\r\n';

type Usage = { cpuMicros: number; rssMb: number };
type Child = { process: ChildProcess; port: number };

async function listen(server: Server): Promise<number> {
  server.listen({ port: 0, host: HOST, backlog: 1024 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Answers every request head with the same kilobyte. */
function openOrigin(): Promise<number> {
  return listen(
    createServer({ noDelay: true }, (socket) => {
      let seen = '';
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1');
        for (let at = seen.indexOf(HEAD_END); at >= 0; at = seen.indexOf(HEAD_END)) {
          seen = seen.slice(at + HEAD_END.length);
          socket.write(ANSWER);
        }
      });
    }),
  );
}

// ---- the processes that are loaded

const policy: PolicyModel = {
  timezone: 'Europe/London',
  timetables: {},
  groups: {
    ks2: {
      label: 'Key Stage 2',
      default: 'allow',
      ratings: { bench: { kind: 'unacceptable' } },
      allow: [],
      deny: [],
    },
  },
  clients: [{ name: 'everyone', match: ['127.0.0.0/8'], group: 'ks2' }],
  unknown: 'ks2',
  allow: [],
  deny: [],
};

async function runProxy(): Promise<number> {
  const builder = createIndexBuilder({ seed: SEED, toAscii: (text) => text, isPublicSuffix: () => false });
  builder.addList(
    { name: 'bench', category: 'bench', sealed: false, format: 'domains', match: 'format' },
    Array.from({ length: NAMES }, (_, i) => `n${i}.list${i % 97}.example`),
  );
  const engine = createEngine({ seed: SEED });
  engine.setIndex(openIndex(builder.finish('bench').buffer), 1);
  engine.setPolicy(policy, 1);
  const proxy = await openProxy({
    engine,
    lookup: { resolve: () => Promise.resolve({ addresses: [{ address: HOST, family: 4 }], chain: [] }) },
    record: () => {},
    now: Date.now,
    settings: {
      connectPorts: 'any',
      allowPrivate: ['127.0.0.0/8'],
      own: { host: null, addresses: [HOST], ports: [] },
      school: 'Example Primary',
      language: 'en',
      publicUrl: null,
    },
    address: HOST,
    port: 0,
  });
  return proxy.port;
}

/** Hands bytes through and reads nothing: what two sockets in this language cost alone. */
function runBare(originPort: number): Promise<number> {
  return listen(
    createServer({ noDelay: true }, (client) => {
      const origin = connect({ port: originPort, host: HOST, noDelay: true });
      for (const [from, to] of [
        [client, origin],
        [origin, client],
      ] as const) {
        from.on('error', () => {});
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    }),
  );
}

async function runChild(role: string, originPort: number): Promise<void> {
  const port = role === 'proxy' ? await runProxy() : await runBare(originPort);
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system, rssMb: process.memoryUsage().rss / 1e6 } satisfies Usage);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.(port);
}

async function startChild(role: string, originPort: number): Promise<Child> {
  // a data thread's young generation is limited; without a limit it grows with the load and is all that memory shows
  const child = fork(fileURLToPath(import.meta.url), [`--role=${role}`, String(originPort)], {
    execArgv: ['--max-semi-space-size=2'],
  });
  const [port] = (await once(child, 'message')) as [number];
  return { process: child, port };
}

async function usageOf(child: Child): Promise<Usage> {
  child.process.send('usage');
  const [usage] = (await once(child.process, 'message')) as [Usage];
  return usage;
}

// ---- the load

type Load = {
  /** begins one more operation on a connection; calls `done` when it is over */
  (done: () => void): { stop(): void };
};

/** Requests one after another on one connection; an answer is over after `endsWith` or its 1 KB body. */
function keepAlive(port: number, request: string): Load {
  return (done) => {
    const socket = connect({ port, host: HOST, noDelay: true });
    let need = -1;
    let got = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (need < 0) {
        const text = chunk.toString('latin1');
        const length = /\r\nContent-Length: (\d+)\r\n/i.exec(text);
        if (length === null) throw new Error(`no length in ${text.slice(0, 200)}`);
        need = text.indexOf(HEAD_END) + HEAD_END.length + Number(length[1]);
        got = 0;
      }
      got += chunk.length;
      if (got < need) return;
      need = -1;
      done();
      socket.write(request);
    });
    socket.on('connect', () => socket.write(request));
    return { stop: () => socket.destroy() };
  };
}

/** CONNECT, one request and answer through the tunnel, and the end, each time on a new connection. */
function tunnels(port: number, originPort: number, viaProxy: boolean): Load {
  return (done) => {
    let stopped = false;
    let current: Socket;
    const next = () => {
      let phase = viaProxy ? 'connect' : 'request';
      let got = 0;
      const socket = connect({ port, host: HOST, noDelay: true });
      current = socket;
      const ask = () => socket.write('GET /1k HTTP/1.1\r\nHost: h\r\n\r\n');
      socket.on('error', () => {});
      socket.on('connect', () => {
        if (viaProxy)
          socket.write(`CONNECT site.example:${originPort} HTTP/1.1\r\nHost: site.example\r\n\r\n`);
        else ask();
      });
      socket.on('data', (chunk) => {
        if (phase === 'connect') {
          phase = 'request';
          ask();
          return;
        }
        got += chunk.length;
        if (got >= ANSWER.length) socket.resetAndDestroy();
      });
      socket.on('close', () => {
        if (got >= ANSWER.length) done();
        if (!stopped) next();
      });
    };
    next();
    return {
      stop() {
        stopped = true;
        current.destroy();
      },
    };
  };
}

async function measure(name: string, child: Child | null, load: Load): Promise<BenchRow> {
  let count = 0;
  const running = Array.from({ length: CONNECTIONS }, () => load(() => count++));
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  const before = child === null ? null : await usageOf(child);
  const counted = count;
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, MEASURE_MS));
  const operations = count - counted;
  const seconds = (performance.now() - start) / 1000;
  const after = child === null ? null : await usageOf(child);
  for (const one of running) one.stop();
  const row = { name, figure: Math.round(operations / seconds), unit: '/s' };
  if (before === null || after === null) return row;
  return { ...row, cpuMicros: (after.cpuMicros - before.cpuMicros) / operations, memoryMb: after.rssMb };
}

/** GET of 1 KB over kept connections, a block page, and tunnels, each beside what there is without a filter. */
export async function measureProxy(): Promise<BenchRow[]> {
  const originPort = await openOrigin();
  const bare = await startChild('bare', originPort);
  const proxy = await startChild('proxy', originPort);
  const fields = 'User-Agent: bench\r\nAccept: */*\r\nAccept-Language: en-GB\r\n\r\n';
  const direct = `GET /1k HTTP/1.1\r\nHost: site.example:${originPort}\r\n${fields}`;
  const through = (host: string) =>
    `GET http://${host}:${originPort}/1k HTTP/1.1\r\nHost: ${host}:${originPort}\r\n${fields}`;
  try {
    return [
      await measure('proxy: GET 1 KB, no proxy', null, keepAlive(originPort, direct)),
      await measure('proxy: GET 1 KB, bare forwarder', bare, keepAlive(bare.port, direct)),
      await measure('proxy: GET 1 KB', proxy, keepAlive(proxy.port, through('site.example'))),
      await measure('proxy: GET blocked', proxy, keepAlive(proxy.port, through('n7.list7.example'))),
      await measure('proxy: connect + 1 KB, bare forwarder', bare, tunnels(bare.port, originPort, false)),
      await measure('proxy: CONNECT + 1 KB', proxy, tunnels(proxy.port, originPort, true)),
    ];
  } finally {
    bare.process.disconnect();
    proxy.process.disconnect();
  }
}

const role = process.argv.find((argument) => argument.startsWith('--role='))?.slice('--role='.length);
if (role !== undefined) {
  await runChild(role, Number(process.argv.at(-1)));
} else if (import.meta.main) {
  const rows = await measureProxy();
  process.stdout.write(`${process.argv.includes('--json') ? JSON.stringify(rows) : tableOf(rows)}\n`);
  process.exit(0);
}
