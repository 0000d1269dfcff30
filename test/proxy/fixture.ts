// What the proxy's tests share: an engine that says what it is told, origins on loopback, and a raw client.

import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createNameHashes } from '../../src/blocklist/hash.ts';
import { openProxy } from '../../src/proxy/server.ts';
import type { ProxyServer, ProxySettings } from '../../src/proxy/types.ts';
import type { Client, Decision, Engine, PolicyModel, Verdict } from '../../src/policy/types.ts';

export function verdict(over: Partial<Verdict> = {}): Verdict {
  return {
    action: 'allow',
    reason: 'default-allow',
    category: null,
    rating: null,
    rule: 'unknown names are allowed',
    list: null,
    group: 'ks2',
    overrideId: null,
    target: null,
    until: null,
    ...over,
  };
}

export const blocked = verdict({
  action: 'block',
  reason: 'unacceptable',
  category: 'gambling',
  rating: 'unacceptable',
  rule: 'gambling is unacceptable (ks2)',
  list: 'starter-gambling',
});

export type FakeEngine = Engine & {
  /** the group that every client is in */
  group: string;
  decide: (host: string, now: number) => Verdict;
};

const groups = {
  ks2: { label: 'Key Stage 2', ratings: {}, allow: [], deny: [] },
  staff: { label: 'Staff', ratings: {}, allow: [], deny: [] },
  office: { label: 'Office', extends: 'staff', ratings: {}, allow: [], deny: [] },
};

export function fakeEngine(): FakeEngine {
  const engine: FakeEngine = {
    group: 'ks2',
    decide: (host) => (host.includes('blocked') ? blocked : verdict()),
    setIndex() {},
    setPolicy() {},
    setOverrides() {},
    epoch: 0,
    seed: { lo: 1, hi: 2 },
    hashes: createNameHashes(),
    hash: () => -1,
    profile: () => 1,
    decideHashed: () => verdict(),
    generations: { policy: 3, index: 7, overrides: 1 },
    ready: () => true,
    client: (address): Client => ({
      address,
      device: null,
      group: engine.group,
      class: null,
      user: null,
      inCharge: null,
    }),
    decideWire: () => verdict(),
    traits: () => ({ serviceRecords: 'strip' }),
    hasAddressLists: () => false,
    decideAddress: () => null,
    decideHost: (host, _client, now) => engine.decide(host, now),
    explain: () => ({ verdict: verdict(), trace: [] }),
    lists: () => [],
    clientFor: () => null,
    model: () => ({ groups }) as unknown as PolicyModel,
  };
  return engine;
}

export type Rig = {
  proxy: ProxyServer;
  engine: FakeEngine;
  decisions: Decision[];
  /** names and the addresses they resolve to; `fail` rejects */
  names: Map<string, string[] | 'fail'>;
  /** the names that a name leads through */
  chains: Map<string, string[]>;
  lookups: string[];
  /** waits for the nth decision */
  decided(count: number): Promise<Decision[]>;
  close(): Promise<void>;
};

/** A proxy that may reach 127.0.0.0/8, on which every `*.test` name lives unless `names` says otherwise. */
export async function rig(
  settings: Partial<ProxySettings> = {},
  deps: { now?: () => number; engine?: FakeEngine } = {},
): Promise<Rig> {
  const engine = deps.engine ?? fakeEngine();
  const decisions: Decision[] = [];
  const lookups: string[] = [];
  const names = new Map<string, string[] | 'fail'>();
  const chains = new Map<string, string[]>();
  const proxy = await openProxy({
    engine,
    lookup: {
      resolve(name) {
        lookups.push(name);
        const found = names.get(name) ?? (name.endsWith('.test') ? ['127.0.0.1'] : []);
        if (found === 'fail') return Promise.reject(new Error('no upstream answered'));
        return Promise.resolve({
          addresses: found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
          chain: chains.get(name) ?? [],
        });
      },
    },
    record: (decision) => decisions.push(decision),
    now: deps.now ?? Date.now,
    settings: {
      connectPorts: 'any',
      allowPrivate: ['127.0.0.0/8'],
      own: { host: 'gateway.test', addresses: ['127.0.0.1'], ports: [] },
      school: 'Example <Primary>',
      language: 'en',
      publicUrl: null,
      ...settings,
    },
    address: '127.0.0.1',
    port: 0,
  });
  return {
    proxy,
    engine,
    decisions,
    names,
    chains,
    lookups,
    async decided(count) {
      await until(() => decisions.length >= count);
      return decisions;
    },
    close: () => proxy.close(0),
  };
}

/** Polls until `check` holds; fails after five seconds. */
export async function until(check: () => boolean, what = 'condition'): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`waited too long for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export type RawOrigin = { port: number; sockets: Socket[]; received: string; close(): Promise<void> };

/** A server that hands each connection to `serve`; `received` gathers what came in, as Latin-1. */
export async function rawOrigin(serve: (socket: Socket) => void): Promise<RawOrigin> {
  const origin: RawOrigin = { port: 0, sockets: [], received: '', close: () => shut(server) };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    origin.sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => (origin.received += chunk.toString('latin1')));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin.port = (server.address() as AddressInfo).port;
  const shut = (which: Server) =>
    new Promise<void>((resolve) => {
      for (const socket of origin.sockets) socket.destroy();
      which.close(() => resolve());
    });
  return origin;
}

/** An origin that answers every request head with the same bytes. */
export function cannedOrigin(answer: string): Promise<RawOrigin> {
  return rawOrigin((socket) => {
    let seen = '';
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      for (let at = seen.indexOf('\r\n\r\n'); at >= 0; at = seen.indexOf('\r\n\r\n')) {
        seen = seen.slice(at + 4);
        socket.write(answer, 'latin1');
      }
    });
    socket.on('end', () => socket.end());
  });
}

export type RawClient = {
  socket: Socket;
  /** everything that came so far, as Latin-1 */
  text(): string;
  ended: boolean;
  closed: boolean;
  reset: boolean;
  send(bytes: string | Buffer): void;
  waitFor(text: string): Promise<string>;
  waitClosed(): Promise<string>;
};

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const client: RawClient = {
    socket,
    text: () => Buffer.concat(chunks).toString('latin1'),
    ended: false,
    closed: false,
    reset: false,
    send: (bytes) => void socket.write(bytes as string, 'latin1'),
    async waitFor(text) {
      await until(() => client.text().includes(text) || client.closed, text);
      if (!client.text().includes(text)) throw new Error(`closed before ${text}: ${client.text()}`);
      return client.text();
    },
    async waitClosed() {
      await until(() => client.ended || client.closed, 'the end of the connection');
      return client.text();
    },
  };
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('end', () => {
    client.ended = true;
    socket.end();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => (client.reset ||= error.code === 'ECONNRESET'));
  socket.on('close', () => (client.closed = true));
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return client;
}

/** Sends bytes on a connection of their own and gives all that came back until the proxy ended it. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const client = await rawClient(port);
  client.send(bytes);
  const text = await client.waitClosed();
  client.socket.destroy();
  return text;
}
