// A whole gateway for a test: its own directory, configuration and lists, free ports, started as `npm start` starts it.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Clients by loopback address: who is who in the tests. */
export const KS1 = '127.0.0.2';
export const KS2 = '127.0.0.3';
export const STAFF = '127.0.0.4';
export const GUEST = '127.0.0.5';
export const STRANGER = '127.0.0.9';

export type LogLine = { msg: string; level: number } & Record<string, unknown>;
export type CliResult = { code: number; stdout: string; stderr: string };

export type TestGateway = {
  readonly dir: string;
  readonly dataDir: string;
  readonly configFile: string;
  readonly policyFile: string;
  dns: number;
  dot: number;
  doh: number;
  proxy: number;
  web: number;
  readonly log: LogLine[];
  pid(): number;
  /** resolves with the first line, past or to come, that `match` takes */
  waitForLog(match: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** starts it again in the same directory */
  start(): Promise<void>;
  /** SIGTERM; gives the exit code */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
  cli(args: readonly string[], input?: string): Promise<CliResult>;
  writePolicy(policy: object): void;
  writeGateway(change: object): void;
  writeList(name: string, lines: readonly string[]): void;
  /** stops it if it runs and removes its directory */
  dispose(): Promise<void>;
};

export const TEST_POLICY = {
  timetables: {
    always: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '00:00' }],
  },
  groups: {
    pupils: {
      label: 'Pupils',
      default: 'allow',
      ratings: {
        games: 'unacceptable',
        social: 'unacceptable',
        chat: 'permission',
        shopping: { timed: ['always'] },
      },
    },
    ks1: {
      label: 'Key Stage 1',
      extends: 'pupils',
      default: 'block',
      allow: ['garden.example', 'allowed.example'],
    },
    ks2: { label: 'Key Stage 2', extends: 'pupils', allow: ['approved.social.example'] },
    staff: {
      label: 'Staff',
      default: 'allow',
      ratings: { games: 'acceptable', social: 'acceptable', chat: 'acceptable', shopping: 'acceptable' },
      fail: 'last-good',
    },
    guests: { label: 'Guests', extends: 'pupils' },
    unregistered: { label: 'Not registered', extends: 'pupils', default: 'block' },
  },
  clients: [
    { name: 'year-2-tablets', match: [KS1], group: 'ks1', class: 'hedgehogs' },
    { name: 'year-5-laptops', match: [KS2], group: 'ks2' },
    { name: 'staff-room', match: [STAFF], group: 'staff' },
    { name: 'visitors', match: [GUEST], group: 'guests' },
  ],
  unknown: 'unregistered',
};

export const TEST_LISTS: Record<string, { category: string; names: string[]; sealed?: boolean }> = {
  games: { category: 'games', names: ['games.example', 'blocked.example'] },
  social: { category: 'social', names: ['social.example'] },
  chat: { category: 'chat', names: ['chat.example'] },
  shopping: { category: 'shopping', names: ['shop.example'] },
  sealed: { category: 'illegal', names: ['sealed.example', 'sealed.games.example'], sealed: true },
};

export async function startGateway(options: {
  upstream: number;
  policy?: object;
  gateway?: Record<string, unknown>;
  /** beside gateway.yaml, by name */
  files?: Record<string, string>;
  lists?: Record<string, { category: string; names: readonly string[]; sealed?: boolean }>;
  env?: Record<string, string>;
}): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'schoolgate-test-'));
  const configFile = join(dir, 'gateway.yaml');
  const policyFile = join(dir, 'policy.yaml');
  const dataDir = join(dir, 'data');
  const lists = options.lists ?? TEST_LISTS;

  const gatewayYaml: Record<string, unknown> = {
    school: { name: 'Example Primary', site: 'main', timezone: 'Europe/London', language: 'en' },
    listen: { dns: ['127.0.0.1:0'], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] },
    dns: {
      upstreams: [`127.0.0.1:${options.upstream}`],
      serve: ['127.0.0.0/8'],
      // A test asks faster than any child.
      rate_limit: { qps: 300, exempt: ['127.0.0.0/8'] },
    },
    proxy: { connect_ports: 'any' },
    allow_private: ['127.0.0.1'],
    workers: { dns: 1, proxy: 1 },
    blocklists: Object.entries(lists).map(([name, list]) => ({
      name,
      category: list.category,
      source: `${name}.txt`,
    })),
    ...options.gateway,
  };

  for (const [name, text] of Object.entries(options.files ?? {}))
    writeFileSync(join(dir, name), text, { mode: 0o600 });

  let child: ChildProcess | undefined;
  const waiters = new Set<() => void>();

  const gateway: TestGateway = {
    dir,
    dataDir,
    configFile,
    policyFile,
    dns: 0,
    dot: 0,
    doh: 0,
    proxy: 0,
    web: 0,
    log: [],
    pid: () => child!.pid!,
    async waitForLog(match, timeoutMs = 15_000) {
      const deadline = AbortSignal.timeout(timeoutMs);
      for (;;) {
        const found = gateway.log.find(match);
        if (found) return found;
        await new Promise<void>((resolve, reject) => {
          const fail = (): void =>
            reject(
              new Error(
                `the gateway did not log it; it logged:\n${gateway.log.map((l) => JSON.stringify(l)).join('\n')}`,
              ),
            );
          if (deadline.aborted) return fail();
          deadline.addEventListener('abort', fail, { once: true });
          waiters.add(resolve);
        });
      }
    },
    signal: (name) => void child!.kill(name),
    async start() {
      gateway.log.length = 0;
      const started = spawn(process.execPath, [main, 'serve', '--config', configFile, '--data', dataDir], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...options.env },
      });
      child = started;
      let problems = '';
      started.stderr!.on('data', (chunk: Buffer) => (problems += chunk.toString()));
      createInterface({ input: started.stdout! }).on('line', (line) => {
        try {
          gateway.log.push(JSON.parse(line) as LogLine);
        } catch {
          gateway.log.push({ msg: line, level: 0 });
        }
        for (const wake of waiters) wake();
        waiters.clear();
      });
      const died = once(started, 'exit').then(([code]) => {
        throw new Error(`the gateway ended with ${String(code)}: ${problems}`);
      });
      const ready = await Promise.race([gateway.waitForLog((line) => line.msg === 'ready'), died]);
      died.catch(() => {});
      const port = (key: string): number => Number((ready[key] as string[])[0]?.split(':').at(-1) ?? 0);
      gateway.dns = port('dns');
      gateway.dot = port('dot');
      gateway.doh = port('doh');
      gateway.proxy = port('proxy');
      gateway.web = port('web');
    },
    async stop() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = (await ended) as [number | null];
      return code;
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    cli: (args, input) => runCli([...args, '--config', configFile, '--data', dataDir], input),
    writePolicy: (policy) => writeFileSync(policyFile, stringify(policy)),
    writeGateway: (change) => writeFileSync(configFile, stringify(Object.assign(gatewayYaml, change))),
    writeList: (name, lines) => writeFileSync(join(dir, `${name}.txt`), lines.join('\n') + '\n'),
    async dispose() {
      await gateway.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };

  for (const [name, list] of Object.entries(lists)) gateway.writeList(name, list.names);
  gateway.writePolicy(options.policy ?? TEST_POLICY);
  gateway.writeGateway({});
  try {
    await gateway.start();
  } catch (error) {
    await gateway.dispose();
    throw error;
  }
  return gateway;
}

export async function runCli(args: readonly string[], input = ''): Promise<CliResult> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? -1, stdout, stderr };
}

export const readData = (gateway: TestGateway, file: string): string =>
  readFileSync(join(gateway.dataDir, file), 'utf8');
