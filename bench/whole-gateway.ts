// The whole gateway with real lists: how long the first start and the second take, what the process holds, and whether it
// stays flat while the policy and the lists are swapped under load. Run it by itself for clean memory figures.

import { spawn, type ChildProcess } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import dnsPacket from 'dns-packet';
import { stringify } from 'yaml';
import { listFiles } from './lookup.ts';
import { tableOf, type BenchRow } from './rows.ts';

type Line = { msg: string; names?: number; bytes?: number; ms?: number; dns?: string[]; startMs?: number };
type Running = {
  child: ChildProcess;
  lines: Line[];
  wait(msg: string, times?: number): Promise<Line>;
  dnsPort: number;
};

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const SWAPS = 1_000;

function writeConfig(dir: string, listsDir: string): { config: string; policy: string; small: string } {
  const lists = listFiles(listsDir).map(({ file, source }) => ({
    name: source.name.replace(/[^a-z0-9]+/gi, '-').toLowerCase(),
    category: source.category.replace(/[^a-z0-9]+/gi, '-').toLowerCase(),
    source: resolve(file),
  }));
  const small = join(dir, 'small.txt');
  writeFileSync(small, 'always-blocked.example\n');
  lists.push({ name: 'small', category: 'small', source: small });
  const ratings = Object.fromEntries(
    [...new Set(lists.map((list) => list.category))].map((name) => [name, 'unacceptable']),
  );
  const config = join(dir, 'gateway.yaml');
  const policy = join(dir, 'policy.yaml');
  writeFileSync(
    config,
    stringify({
      school: { name: 'Bench' },
      listen: { dns: ['127.0.0.1:0'], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] },
      dns: { upstreams: ['127.0.0.1:9'], rate_limit: { qps: 300, exempt: ['127.0.0.0/8'] } },
      workers: { dns: 1, proxy: 1 },
      blocklists: lists,
    }),
  );
  writePolicy(policy, ratings, 0);
  return { config, policy, small };
}

function writePolicy(file: string, ratings: Record<string, string>, round: number): void {
  const groups = {
    pupils: {
      label: 'Pupils',
      default: 'allow',
      ratings,
      deny: ['denied.example'],
      allow: [`round-${round}.example`],
    },
  };
  writeFileSync(file, stringify({ groups, unknown: 'pupils' }));
}

async function startGateway(config: string, data: string): Promise<Running> {
  const child = spawn(process.execPath, [main, 'serve', '--config', config, '--data', data], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Line[] = [];
  let wake = (): void => {};
  createInterface({ input: child.stdout! }).on('line', (text) => {
    lines.push(JSON.parse(text) as Line);
    wake();
  });
  const wait = async (msg: string, times = 1): Promise<Line> => {
    for (;;) {
      const found = lines.filter((line) => line.msg === msg)[times - 1];
      if (found) return found;
      if (child.exitCode !== null) throw new Error(`the gateway ended before it said ${msg}`);
      await new Promise<void>((next) => (wake = next));
    }
  };
  child.on('exit', () => wake());
  const ready = await wait('ready');
  return { child, lines, wait, dnsPort: Number(ready.dns![0]!.split(':')[1]) };
}

async function stopGateway(running: Running): Promise<void> {
  const ended = once(running.child, 'exit');
  running.child.kill('SIGTERM');
  await ended;
}

const statusMb = (pid: number, key: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

const settle = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Blocked questions without a pause from one socket, at most `window` unanswered; every answer is checked. */
function createLoad(port: number, window: number) {
  const socket = dgram.createSocket('udp4');
  const packets = ['always-blocked.example', 'www.always-blocked.example', 'denied.example'].map((name) =>
    dnsPacket.encode({
      type: 'query',
      id: 0,
      flags: dnsPacket.RECURSION_DESIRED,
      questions: [{ type: 'A', name }],
    }),
  );
  const open = new Map<number, number>();
  let id = 0;
  let stopped = false;
  const counts = { answered: 0, wrong: 0, lost: 0 };
  const ask = (): void => {
    if (stopped) return;
    id = (id + 1) & 0xffff;
    const packet = Buffer.from(packets[id % packets.length]!);
    packet.writeUInt16BE(id, 0);
    open.set(id, performance.now());
    socket.send(packet, port, '127.0.0.1');
  };
  socket.on('message', (answer) => {
    if (!open.delete(answer.readUInt16BE(0))) return;
    counts.answered += 1;
    if ((answer[3]! & 15) !== 3) counts.wrong += 1;
    ask();
  });
  const sweep = setInterval(() => {
    for (const [asked, at] of open) {
      if (performance.now() - at < 2_000) continue;
      open.delete(asked);
      counts.lost += 1;
      ask();
    }
  }, 500);
  socket.bind(0, '127.0.0.1', () => {
    for (let i = 0; i < window; i++) ask();
  });
  return {
    counts,
    async stop(): Promise<void> {
      stopped = true;
      await settle(500);
      counts.lost += open.size;
      clearInterval(sweep);
      socket.close();
    },
  };
}

/** `listsDir` as for the look-up bench. Takes about two minutes. */
export async function measureWholeGateway(listsDir: string): Promise<BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'schoolgate-bench-'));
  const data = join(dir, 'data');
  const rows: BenchRow[] = [];
  const row = (name: string, figure: number, unit: string, more: Partial<BenchRow> = {}): void =>
    void rows.push({ name, figure, unit, ...more });
  try {
    const { config, policy, small } = writeConfig(dir, listsDir);
    let running = await startGateway(config, data);
    const built = await running.wait('lists in force');
    row('first start: lists read and index built', built.ms! / 1000, 's');
    row('first start: distinct names', built.names!, 'names');
    row('index', built.bytes! / built.names!, 'bytes a name', { memoryMb: built.bytes! / 1e6 });
    row('first start: most memory ever held', statusMb(running.child.pid!, 'VmHWM'), 'MB RSS');
    await stopGateway(running);

    const starts: number[] = [];
    for (let i = 0; i < 3; i++) {
      running = await startGateway(config, data);
      starts.push((await running.wait('ready')).startMs!);
      if (i < 2) await stopGateway(running);
    }
    starts.sort((a, b) => a - b);
    row('second start, from the snapshot, to ready (median of 3)', starts[1]! / 1000, 's');
    await settle(3_000);
    const pid = running.child.pid!;
    row('after the second start, 1 DNS and 1 proxy thread', statusMb(pid, 'VmRSS'), 'MB RSS');

    // Every swap is a new policy; every hundredth also a new index of all the lists.
    const before = readFileSync(policy, 'utf8');
    const load = createLoad(running.dnsPort, 32);
    let early = 0;
    for (let n = 1; n <= SWAPS; n++) {
      writeFileSync(policy, before.replace('round-0.example', `round-${n}.example`));
      if (n % 100 === 0) utimesSync(small, n, n);
      running.child.kill('SIGHUP');
      await running.wait('reloaded', n);
      if (n === 200) early = statusMb(pid, 'VmRSS');
    }
    await load.stop();
    row(
      `swaps under load: ${SWAPS} policies, ${SWAPS / 100} indexes; answers`,
      load.counts.answered,
      'answers',
    );
    row('swaps under load: wrong answers', load.counts.wrong, 'answers');
    row('swaps under load: questions without an answer', load.counts.lost, 'questions');
    await settle(3_000);
    row('memory after 200 swaps', early, 'MB RSS');
    row(`memory after ${SWAPS} swaps`, statusMb(pid, 'VmRSS'), 'MB RSS');
    await stopGateway(running);
    return rows;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const rows = await measureWholeGateway(
    process.argv[2] ?? process.env['SCHOOLGATE_LISTS'] ?? '../shared/data/blocklists',
  );
  console.log(tableOf(rows));
}
