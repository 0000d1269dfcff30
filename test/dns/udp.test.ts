import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import { DATAGRAM_ROOM } from '../../src/dns/types.ts';
import type { DnsHandler, DnsServer, DnsServerOptions } from '../../src/dns/types.ts';
import { openDnsUdpBatch } from '../../src/dns/udp-batch.ts';
import { openDnsUdpDgram } from '../../src/dns/udp-dgram.ts';
import { createExchange } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import { createBatchedPools } from '../../src/resolver/udp-pool-batched.ts';
import { BATCH } from '../../src/udp/batch.ts';
import { loadLibc } from '../../src/udp/libc.ts';
import { openBoundSocket, portOf } from '../../src/udp/sockets.ts';
import { createTurn } from '../../src/udp/turn.ts';
import { addressRecord, answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import type { ScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { withPortZero } from '../udp/faulty-libc.ts';
import { ALLOW, BLOCK, query, read, rig } from './fixture.ts';
import type { Read } from './fixture.ts';

const libc = await loadLibc();
const turn = createTurn();
const createPool = createBatchedPools({ libc, turn });

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});
function kept<T extends { close(): unknown }>(item: T): T {
  open.unshift(item);
  return item;
}

const rule = (name: string) => (name.startsWith('bet') ? BLOCK : ALLOW);

async function udpClient(address = '127.0.0.1'): Promise<Socket> {
  const socket = kept(createSocket(address.includes(':') ? 'udp6' : 'udp4'));
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

async function askUdp(port: number, packet: Uint8Array, to = '127.0.0.1', from = to): Promise<Read> {
  const socket = await udpClient(from);
  socket.send(packet, port, to);
  const [bytes] = (await once(socket, 'message')) as [Buffer];
  return read(bytes);
}

/** A handler that does what `handle` says, and knows who asks. */
function handlerOf(handle: DnsHandler['handle']): Pick<DnsHandler, 'handle' | 'asker' | 'asker4'> {
  return {
    handle,
    asker: (address) => ({ address, clientId: null }),
    asker4: (n) => ({
      address: `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`,
      clientId: null,
    }),
  };
}

/** Sends the packet back. */
const echo = handlerOf((packet, length, _asker, _transport, out) => {
  out.set(packet.subarray(0, length));
  return length;
});

const WAYS: [string, (options: DnsServerOptions) => Promise<DnsServer>, boolean][] = [
  ['dgram', openDnsUdpDgram, false],
  ['batched', async (options) => openDnsUdpBatch({ ...options, libc, turn }), true],
];

describe.each(WAYS)('over UDP, %s', (_name, openUdp, batched) => {
  /** The whole way: sockets in front, policy, cache and exchange between, an upstream with a script behind. */
  async function gateway(): Promise<{
    upstream: ScriptedUpstream;
    handler: DnsHandler;
    udp: DnsServer;
    tcp: DnsServer;
  }> {
    const upstream = kept(await startScriptedUpstream());
    const exchange = kept(
      createExchange({
        upstreams: [upstream],
        now: Date.now,
        randomId: createRandomIds(),
        timeoutMs: 600,
        retryMs: 150,
        createPool: batched ? createPool : undefined,
      }),
    );
    const { handler } = rig({ rule, exchange });
    const at = { address: '127.0.0.1', port: 0, handler };
    return { upstream, handler, udp: kept(await openUdp(at)), tcp: kept(await openDnsTcp(at)) };
  }

  it('blocks, asks upstream, answers from the cache', async () => {
    const { udp, upstream } = await gateway();
    expect(await askUdp(udp.port, query('bet.example'))).toMatchObject({ rcodeNumber: 3, ede: [15] });
    expect(await askUdp(udp.port, query('a.example'))).toMatchObject({ data: ['192.0.2.1'] });
    expect(await askUdp(udp.port, query('A.example', { id: 9 }))).toMatchObject({
      id: 9,
      data: ['192.0.2.1'],
    });
    expect(upstream.asked.map((asked) => asked.name.toLowerCase())).toEqual(['a.example']);
    expect(udp.stats()).toMatchObject({ received: 3, sent: 3, errors: 0 });
  });

  it('over IPv6', async () => {
    const { handler } = rig({ rule });
    const server = kept(await openUdp({ address: '::1', port: 0, handler }));
    for (let n = 0; n < 3; n++)
      expect(await askUdp(server.port, query('bet.example'), '::1')).toMatchObject({ rcodeNumber: 3 });
  });

  it('tells clients apart by their address', async () => {
    const { handler } = rig({ rule: (_name, client) => (client.group === 'group-2' ? BLOCK : ALLOW) });
    const server = kept(await openUdp({ address: '127.0.0.1', port: 0, handler }));
    expect(await askUdp(server.port, query('x.example'), '127.0.0.1', '127.0.0.2')).toMatchObject({
      rcodeNumber: 3,
    });
    expect(await askUdp(server.port, query('x.example'))).toMatchObject({ rcodeNumber: 0 });
  });

  it('goes to TCP upstream for what is too long, and tells the client to do the same', async () => {
    const { udp, upstream } = await gateway();
    const many = Array.from({ length: 200 }, (_, i) => addressRecord('big.example', `192.0.2.${i}`));
    upstream.script = (asked) => [
      asked.byTcp ? answerTo(asked, many) : answerTo(asked, [], { flags: 0x0200 }),
    ];
    expect(await askUdp(udp.port, query('big.example'))).toMatchObject({
      truncated: true,
      data: [],
      opt: { size: 1232 },
    });
    expect(upstream.asked.some((asked) => asked.byTcp)).toBe(true);
  });

  it.each([
    ['is silent', () => []],
    ['sends garbage', () => [Buffer.from('garbage, and not a little of it')]],
    [
      'answers another question',
      (asked) => [answerTo(asked, [], { questions: [{ type: 'A', name: 'x.y', class: 'IN' }] })],
    ],
    ['says SERVFAIL', (asked) => [answerTo(asked, [], { rcode: 2 })]],
  ] satisfies [string, ScriptedUpstream['script']][])(
    'an upstream that %s means SERVFAIL',
    async (_what, script) => {
      const { udp, upstream } = await gateway();
      upstream.script = script;
      expect(await askUdp(udp.port, query('a.example'))).toMatchObject({ rcodeNumber: 2, data: [] });
      expect(await askUdp(udp.port, query('bet.example'))).toMatchObject({ rcodeNumber: 3 });
    },
  );

  it('two share a port by reusePort, and an address that is taken is an error', async () => {
    const { handler } = rig({ rule });
    const first = kept(await openUdp({ address: '127.0.0.1', port: 0, handler, reusePort: true }));
    const second = kept(await openUdp({ address: '127.0.0.1', port: first.port, handler, reusePort: true }));
    expect(second.port).toBe(first.port);
    await expect(openUdp({ address: '127.0.0.1', port: first.port, handler })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await expect(openUdp({ address: '192.0.2.77', port: 0, handler })).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
    });
  });

  it('answers that come after it was closed go nowhere', async () => {
    const { udp, upstream, handler } = await gateway();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    upstream.script = async (asked) => {
      await held;
      return [answerTo(asked)];
    };
    const client = await udpClient();
    client.send(query('a.example'), udp.port, '127.0.0.1');
    await expect.poll(() => upstream.asked.length).toBe(1);
    await udp.close();
    await udp.close();
    release();
    await expect.poll(() => handler.stats()['forwarded']).toBe(1);
  });

  it('hands on every length that fits a packet, and none that was cut', async () => {
    const lengths: number[] = [];
    const server = kept(
      await openUdp({
        address: '127.0.0.1',
        port: 0,
        handler: handlerOf((packet, length, _asker, _transport, out) => {
          lengths.push(length);
          out[0] = packet[length - 1] ?? 0;
          return 1;
        }),
      }),
    );
    const client = await udpClient();
    let back = 0;
    client.on('message', () => back++);
    const sizes = [0, 1, 11, 12, 512, 1232, DATAGRAM_ROOM];
    for (const size of sizes) client.send(Buffer.alloc(size, size & 255), server.port, '127.0.0.1');
    await expect.poll(() => back).toBe(sizes.length);
    expect([...lengths].sort((a, b) => a - b)).toEqual(sizes);
    for (const size of [DATAGRAM_ROOM + 1, 9000, 65_507])
      client.send(Buffer.alloc(size), server.port, '127.0.0.1');
    await expect.poll(() => server.stats()['cut']).toBe(3);
    expect(lengths.length).toBe(sizes.length);
  });

  it('an exception in the handler costs that one query', async () => {
    const told: string[] = [];
    let seen = 0;
    const server = kept(
      await openUdp({
        address: '127.0.0.1',
        port: 0,
        handler: handlerOf((packet, length, asker, transport, out, later) => {
          if (seen++ % 2 === 0) throw new Error('not expected');
          return echo.handle(packet, length, asker, transport, out, later);
        }),
        log: (_level, _message, fields) => told.push(String(fields?.['err'])),
      }),
    );
    const client = await udpClient();
    let back = 0;
    client.on('message', () => back++);
    for (let n = 0; n < 40; n++) client.send(Buffer.alloc(20), server.port, '127.0.0.1');
    await expect.poll(() => back).toBe(20);
    await expect.poll(() => server.stats()['errors']).toBe(20);
    expect(told).toEqual(Array(3).fill('not expected'));
  });

  it('an answer longer than the room is not sent', async () => {
    const server = kept(
      await openUdp({
        address: '127.0.0.1',
        port: 0,
        handler: handlerOf((packet, length, asker, transport, out, later) => {
          if (packet[0] === 1) return DATAGRAM_ROOM + 1;
          if (packet[0] === 2) {
            later()(new Uint8Array(DATAGRAM_ROOM + 1));
            return 0;
          }
          return echo.handle(packet, length, asker, transport, out, later);
        }),
      }),
    );
    const client = await udpClient();
    const back: number[] = [];
    client.on('message', (bytes) => back.push(bytes[0] as number));
    for (const first of [1, 2, 3]) client.send(Buffer.alloc(20, first), server.port, '127.0.0.1');
    await expect.poll(() => back).toEqual([3]);
    expect(server.stats()).toMatchObject({ errors: 2, sent: 1 });
  });

  it('late answers go to whoever asked, however many and in whatever order', async () => {
    const waiting: { answer: (bytes: Uint8Array) => void; bytes: Uint8Array }[] = [];
    const server = kept(
      await openUdp({
        address: '127.0.0.1',
        port: 0,
        handler: handlerOf((packet, length, _asker, _transport, _out, later) => {
          waiting.push({ answer: later(), bytes: packet.slice(0, length) });
          return 0;
        }),
      }),
    );
    const clients = await Promise.all(Array.from({ length: 10 }, () => udpClient()));
    const wrong: string[] = [];
    let back = 0;
    for (const [n, client] of clients.entries()) {
      client.on('message', (bytes) => {
        back++;
        if (bytes[0] !== n) wrong.push(`${n} got ${bytes[0]}`);
      });
      for (let i = 0; i < 30; i++) client.send(Buffer.from([n, i, 3, 4]), server.port, '127.0.0.1');
    }
    await expect.poll(() => waiting.length).toBe(300);
    for (const { answer, bytes } of waiting.reverse()) answer(bytes);
    await expect.poll(() => back).toBe(300);
    expect(wrong).toEqual([]);
    expect(server.stats()).toMatchObject({ received: 300, sent: 300, dropped: 0 });
  });

  it('a flood of 100,000 packets: what is sent and what is dropped add up, and it answers after', async () => {
    const server = kept(await openUdp({ address: '127.0.0.1', port: 0, handler: echo }));
    const client = await udpClient();
    const packet = Buffer.alloc(40, 1);
    for (let n = 0; n < 100_000; n += 500) {
      for (let i = 0; i < 500; i++) client.send(packet, server.port, '127.0.0.1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The question itself may find the queue full: it is put again, as a client would.
    const asking = await udpClient();
    let answered = false;
    asking.on('message', () => (answered = true));
    await expect
      .poll(
        () => {
          asking.send(query('bet.example'), server.port, '127.0.0.1');
          return answered;
        },
        { timeout: 10_000 },
      )
      .toBe(true);
    await expect.poll(() => server.stats()['queuedBytes'] ?? 0).toBe(0);
    const { received, sent, dropped, errors } = server.stats();
    expect(received).toBeGreaterThan(1000);
    expect(sent! + dropped! + errors!).toBe(received);
    expect(errors).toBe(0);
  });

  it('is closed under load without harm', async () => {
    const client = await udpClient();
    client.on('error', () => {});
    let stop = false;
    let port = 0;
    const load = (async () => {
      while (!stop) {
        for (let i = 0; i < 50; i++) if (port > 0) client.send(Buffer.alloc(30), port, '127.0.0.1');
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let round = 0; round < 20; round++) {
      const server = await openUdp({ address: '127.0.0.1', port: 0, handler: echo });
      port = server.port;
      await expect.poll(() => server.stats()['received'], { interval: 1 }).toBeGreaterThan(0);
      await server.close();
    }
    stop = true;
    await load;
  });
});

describe('over UDP, dgram', () => {
  it('a sender with port 0 cannot be answered and ends nothing', async () => {
    // No socket can send from port 0: the event is raised as the system would raise it.
    const { handler } = rig({ rule });
    const sockets = new Set<Socket>();
    const prototype = Object.getPrototypeOf(createSocket('udp4').unref()) as Socket;
    const original = prototype.bind;
    prototype.bind = function (this: Socket, ...rest: unknown[]) {
      sockets.add(this);
      return Reflect.apply(original, this, rest) as Socket;
    } as typeof original;
    let server: DnsServer;
    try {
      server = kept(await openDnsUdpDgram({ address: '127.0.0.1', port: 0, handler }));
    } finally {
      prototype.bind = original;
    }
    const [socket] = [...sockets];
    socket?.emit('message', query('bet.example'), {
      address: '127.0.0.1',
      port: 0,
      family: 'IPv4',
      size: 40,
    });
    expect(server.stats()['unanswerable']).toBe(1);
    expect(await askUdp(server.port, query('bet.example'))).toMatchObject({ rcodeNumber: 3 });
  });
});

describe('over UDP, batched', () => {
  it('a sender with port 0 cannot be answered and ends nothing', async () => {
    const { handler } = rig({ rule });
    let zero = true;
    const faulty = withPortZero(libc, () => zero);
    const server = kept(openDnsUdpBatch({ address: '127.0.0.1', port: 0, handler, libc: faulty, turn }));
    const client = await udpClient();
    // Node reads the first of them, with the port as it is.
    for (let n = 0; n < 20; n++) client.send(query('bet.example'), server.port, '127.0.0.1');
    await expect.poll(() => server.stats()['received']).toBe(20);
    expect(server.stats()['unanswerable']).toBeGreaterThan(0);
    expect(server.stats()['errors']).toBe(0);
    zero = false;
    expect(await askUdp(server.port, query('bet.example'))).toMatchObject({ rcodeNumber: 3 });
  });

  it('reads many by one call', async () => {
    const server = kept(openDnsUdpBatch({ address: '127.0.0.1', port: 0, handler: echo, libc, turn }));
    const client = await udpClient();
    let back = 0;
    client.on('message', () => back++);
    for (let n = 0; n < 3 * BATCH; n++) client.send(Buffer.alloc(20), server.port, '127.0.0.1');
    await expect.poll(() => back).toBe(3 * BATCH);
    expect(server.stats()['perBatch']).toBeGreaterThan(8);
  });

  it('a socket that was given is left open, keeps what comes meanwhile, and is read on by the next server', async () => {
    const fd = openBoundSocket(libc, {
      address: '127.0.0.1',
      port: 0,
      reusePort: true,
      bufferBytes: 1 << 20,
    });
    kept({ close: () => libc.close(fd) });
    const port = portOf(libc, fd);
    const options = { address: '127.0.0.1', port, handler: echo, libc, turn, fd };
    const first = openDnsUdpBatch(options);
    expect((await askUdp(port, query('a.example'))).id).toBe(0x1234);
    await first.close();
    const client = await udpClient();
    let back = 0;
    client.on('message', () => back++);
    for (let n = 0; n < 200; n++) client.send(Buffer.alloc(20), port, '127.0.0.1');
    await new Promise((resolve) => setImmediate(resolve));
    kept(openDnsUdpBatch(options));
    await expect.poll(() => back).toBe(200);
  });
});
