import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { openDnsSockets } from '../../src/workers/dns-sockets.ts';
import type { DnsSockets } from '../../src/workers/dns-sockets.ts';
import { probeEndpoint } from '../../src/workers/own-addresses.ts';
import { superviseThread } from '../../src/workers/supervise.ts';
import type { Thread } from '../../src/workers/supervise.ts';

const log = pino({ level: 'silent' });

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function udp(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  open.push(() => socket.close());
  return socket;
}

/** How many sockets this process has open. */
const openSockets = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

async function thread(mode: 'batched' | 'dgram' = 'batched'): Promise<{
  port: number;
  sockets: DnsSockets;
  thread: Thread;
  readies: () => number;
}> {
  const upstream = await udp();
  const endpoint = await probeEndpoint({ address: '127.0.0.1', port: 0 }, ['udp']);
  const sockets = await openDnsSockets({ mode, endpoints: [endpoint], threads: 1 });
  let readies = 0;
  const made = superviseThread(
    {
      name: 'dns-0',
      entry: new URL('./echo-thread.ts', import.meta.url),
      limits: {},
      start: () => ({
        sockets: sockets.ofThread(0),
        listen: [endpoint],
        upstream: { address: '127.0.0.1', port: upstream.address().port },
      }),
    },
    { log, onMessage: () => {}, onReady: () => readies++, onDeath: () => {} },
  );
  open.unshift(
    () => made.stop({ kind: 'drain' }, 2000),
    () => sockets.close(),
  );
  await made.firstReady;
  return { port: endpoint.port, sockets, thread: made, readies: () => readies };
}

describe('sockets that outlive their thread', () => {
  it.each(['exit', 'throw'])(
    'F12: a DNS thread that dies under load (%s) costs no query at all',
    async (how) => {
      const { port, thread: one, readies } = await thread();
      const client = await udp();
      const missing = new Set<number>();
      client.on('message', (bytes) => missing.delete(bytes.readUInt32BE(0)));
      let next = 0;
      const ask = (): void => {
        const bytes = Buffer.alloc(40);
        bytes.writeUInt32BE(next);
        missing.add(next++);
        client.send(bytes, port, '127.0.0.1');
      };
      for (let deaths = 1; deaths <= 3; deaths++) {
        let killed = false;
        for (let n = 0; n < 100 || readies() <= deaths; n++) {
          for (let i = 0; i < 4; i++) ask();
          await new Promise((resolve) => setTimeout(resolve, 2));
          if (n >= 20 && !killed) {
            killed = true;
            one.post({ kind: how });
          }
        }
        await expect.poll(() => missing.size, { timeout: 5000 }).toBe(0);
      }
      expect(one.restarts()).toBe(3);
      expect(next).toBeGreaterThan(1000);
    },
  );

  it('F12: a thread that is ended from outside under load ends nothing but itself', async () => {
    const endpoint = await probeEndpoint({ address: '127.0.0.1', port: 0 }, ['udp']);
    const sockets = await openDnsSockets({ mode: 'batched', endpoints: [endpoint], threads: 1 });
    open.push(() => sockets.close());
    const upstream = await udp();
    const client = await udp();
    let back = 0;
    client.on('message', () => back++);
    const load = setInterval(() => {
      for (let i = 0; i < 200; i++) client.send(Buffer.alloc(40), endpoint.port, '127.0.0.1');
    }, 1);
    open.unshift(() => clearInterval(load));
    for (let n = 0; n < 6; n++) {
      const worker = new Worker(new URL('./echo-thread.ts', import.meta.url), {
        workerData: {
          sockets: sockets.ofThread(0),
          listen: [endpoint],
          upstream: { address: '127.0.0.1', port: upstream.address().port },
        },
      });
      worker.on('error', () => {});
      const ended = once(worker, 'exit').catch(() => once(worker, 'exit'));
      await once(worker, 'message');
      const before = back;
      await expect.poll(() => back, { interval: 5, timeout: 5000 }).toBeGreaterThan(before + 1000);
      await worker.terminate();
      await ended;
    }
  });

  it('what a dead thread had open towards upstreams is closed', async () => {
    const { thread: one, readies } = await thread();
    const before = openSockets();
    for (let deaths = 1; deaths <= 3; deaths++) {
      one.post({ kind: 'exit' });
      await expect.poll(readies, { timeout: 10_000 }).toBe(deaths + 1);
    }
    expect(openSockets()).toBe(before);
  });

  it('nothing is left open when all have ended in order', async () => {
    const client = await udp();
    const before = openSockets();
    const { sockets, thread: one } = await thread();
    await one.stop({ kind: 'drain' }, 5000);
    sockets.close();
    // One more: the upstream of this test.
    expect(openSockets()).toBe(before + 1);
    expect(client.address().port).toBeGreaterThan(0);
  });

  it('one for each address and thread, sharing the port', async () => {
    const endpoints = [
      await probeEndpoint({ address: '127.0.0.1', port: 0 }, ['udp']),
      await probeEndpoint({ address: '127.0.0.2', port: 0 }, ['udp']),
    ];
    const sockets = await openDnsSockets({ mode: 'auto', endpoints, threads: 3 });
    open.push(() => sockets.close());
    expect(sockets.udp).toEqual({ kind: 'batched', why: null });
    const fds = [0, 1, 2].flatMap((n) => [...sockets.ofThread(n)!.fds]);
    expect(new Set(fds).size).toBe(6);
  });
});

describe('where batched datagrams do not work', () => {
  const unfit = async () => ({ ok: false, reason: 'this is another machine' }) as const;

  it('auto goes without and says why', async () => {
    const sockets = await openDnsSockets({ mode: 'auto', endpoints: [], threads: 1, openBatched: unfit });
    expect(sockets.udp).toEqual({ kind: 'dgram', why: 'this is another machine' });
    expect(sockets.ofThread(0)).toBeNull();
    sockets.close();
  });

  it('batched refuses to start, with the reason and what to write', async () => {
    await expect(
      openDnsSockets({ mode: 'batched', endpoints: [], threads: 1, openBatched: unfit }),
    ).rejects.toThrow('dns.udp is batched in gateway.yaml, but this is another machine: write auto or dgram');
  });

  it('dgram tries nothing', async () => {
    const never = () => Promise.reject(new Error('not to be called'));
    const sockets = await openDnsSockets({ mode: 'dgram', endpoints: [], threads: 1, openBatched: never });
    expect(sockets.udp.kind).toBe('dgram');
  });

  it('a thread without given sockets answers on its own', async () => {
    const { port } = await thread('dgram');
    const client = await udp();
    client.send(Buffer.from('hello'), port, '127.0.0.1');
    const [bytes] = (await once(client, 'message')) as [Buffer];
    expect(bytes.toString()).toBe('hello');
  });

  it('an address that is taken leaves nothing open', async () => {
    const taken = await udp();
    const before = openSockets();
    const endpoints = [
      await probeEndpoint({ address: '127.0.0.1', port: 0 }, ['udp']),
      { address: '127.0.0.1', port: taken.address().port },
    ];
    await expect(openDnsSockets({ mode: 'batched', endpoints, threads: 2 })).rejects.toThrow(
      /bind EADDRINUSE 127\.0\.0\.1:\d+/,
    );
    expect(openSockets()).toBe(before);
  });
});
