import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import type { StreamOptions } from '../../src/dns/stream-front.ts';
import type { DnsHandler, DnsServer } from '../../src/dns/types.ts';
import { createExchange } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import { addressRecord, answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import type { ScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { ALLOW, BLOCK, query, read, rig } from './fixture.ts';
import type { Read } from './fixture.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});
function kept<T extends { close(): unknown }>(item: T): T {
  open.unshift(item);
  return item;
}

const rule = (name: string) => (name.startsWith('bet') ? BLOCK : ALLOW);

/** The whole way: sockets in front, policy, cache and exchange between, an upstream with a script behind. */
async function gateway(tcp: Partial<StreamOptions> = {}): Promise<{
  upstream: ScriptedUpstream;
  handler: DnsHandler;
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
    }),
  );
  const { handler } = rig({ rule, exchange });
  const at = { address: '127.0.0.1', port: 0, handler };
  return {
    upstream,
    handler,
    tcp: kept(await openDnsTcp({ ...at, ...tcp })),
  };
}

const framed = (...packets: Uint8Array[]): Buffer =>
  Buffer.concat(
    packets.flatMap((packet) => [Buffer.from([packet.length >> 8, packet.length & 255]), packet]),
  );

type TcpClient = {
  socket: Socket;
  answers: Read[];
  closed: Promise<unknown>;
  until(count: number): Promise<Read[]>;
};

function tcpClient(port: number): TcpClient {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  kept({ close: () => socket.destroy() });
  const answers: Read[] = [];
  let rest = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
      const size = rest.readUInt16BE(0);
      answers.push(read(rest.subarray(2, size + 2)));
      rest = rest.subarray(size + 2);
    }
  });
  return {
    socket,
    answers,
    // The server's side: this one may stay half open.
    closed: new Promise((resolve) => socket.on('end', resolve).on('close', resolve)),
    async until(count) {
      await expect.poll(() => answers.length, { timeout: 5000 }).toBe(count);
      return answers;
    },
  };
}

describe('over TCP', () => {
  it('takes many queries on one connection and answers as they are ready', async () => {
    const { tcp, upstream } = await gateway();
    upstream.script = async (asked) => {
      if (asked.name.toLowerCase() === 'slow.example')
        await new Promise((resolve) => setTimeout(resolve, 100));
      return [answerTo(asked, [addressRecord(asked.name, '192.0.2.1')])];
    };
    const client = tcpClient(tcp.port);
    const names = ['slow.example', 'bet.example', 'a.example', 'b.example'];
    client.socket.write(framed(...names.map((name, i) => query(name, { id: i + 1 }))));
    const answers = await client.until(4);
    expect(answers.at(-1)?.id).toBe(1);
    expect(answers.map((answer) => answer.id).sort()).toEqual([1, 2, 3, 4]);
    expect(answers.find((answer) => answer.id === 2)?.rcodeNumber).toBe(3);
    expect(tcp.stats()).toMatchObject({ open: 1, queries: 4, answers: 4 });
  });

  it('puts queries together from single bytes', async () => {
    const { tcp } = await gateway();
    const client = tcpClient(tcp.port);
    client.socket.setNoDelay(true);
    for (const byte of framed(query('bet.example', { id: 1 }), query('a.example', { id: 2 }))) {
      client.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.until(2)).map((answer) => answer.id)).toEqual([1, 2]);
  });

  it('answers what was asked before the client closed its side, and then closes', async () => {
    const { tcp } = await gateway();
    const client = tcpClient(tcp.port);
    client.socket.end(framed(query('a.example', { id: 1 }), query('bet.example', { id: 2 })));
    await client.until(2);
    await client.closed;
    await expect.poll(() => tcp.stats()['open']).toBe(0);
  });

  it('takes a thousand queries at once, a few at a time', async () => {
    const { tcp, upstream } = await gateway();
    const client = tcpClient(tcp.port);
    const packets = Array.from({ length: 1000 }, (_, i) => query(`n${i % 50}.example`, { id: i }));
    client.socket.write(framed(...packets));
    const answers = await client.until(1000);
    expect(new Set(answers.map((answer) => answer.id)).size).toBe(1000);
    expect(upstream.asked.length).toBe(50);
  });

  it('stops taking queries from a client that reads no answers, and lets it go', async () => {
    const { tcp, upstream, handler } = await gateway({ idleMs: 700 });
    const many = Array.from({ length: 1500 }, (_, i) =>
      addressRecord('big.example', `198.51.${i >> 8}.${i & 255}`),
    );
    upstream.script = (asked) => [
      asked.byTcp ? answerTo(asked, many) : answerTo(asked, [], { flags: 0x0200 }),
    ];
    const client = tcpClient(tcp.port);
    client.socket.pause();
    client.socket.write(
      framed(...Array.from({ length: 20_000 }, (_, i) => query('big.example', { id: i & 0xffff }))),
    );
    await expect.poll(() => tcp.stats(), { timeout: 10_000 }).toMatchObject({ open: 0, idle: 1 });
    expect(handler.stats()['queries']).toBeLessThan(5000);
  });

  it.each([
    ['nothing', []],
    ['half a length', [0]],
    ['half a query', [...framed(query('a.example')).subarray(0, 12)]],
  ])('an idle connection ends: %s', async (_what, bytes) => {
    const { tcp } = await gateway({ idleMs: 100 });
    const client = tcpClient(tcp.port);
    client.socket.write(Buffer.from(bytes));
    await client.closed;
    await expect.poll(() => tcp.stats()).toMatchObject({ idle: 1, open: 0 });
  });

  it('a query that trickles in does not hold its connection open', async () => {
    const { tcp } = await gateway({ idleMs: 300 });
    const client = tcpClient(tcp.port);
    const bytes = framed(query('a.example'));
    let at = 0;
    const drip = setInterval(() => client.socket.write(bytes.subarray(at, ++at)), 40);
    await client.closed;
    clearInterval(drip);
    expect(client.answers).toEqual([]);
  });

  it.each([
    ['a length beyond any query', Buffer.from([0xff, 0xff, 1, 2, 3])],
    ['a length below any query', Buffer.from([0, 3, 1, 2, 3])],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['an answer', framed(query('a.example', { flags: 0x8180 }))],
  ])('%s ends the connection', async (_what, bytes) => {
    const { tcp } = await gateway();
    const client = tcpClient(tcp.port);
    client.socket.write(bytes);
    await client.closed;
    expect(client.answers).toEqual([]);
  });

  it('a malformed query gets FORMERR and the connection goes on', async () => {
    const { tcp } = await gateway();
    const client = tcpClient(tcp.port);
    client.socket.write(framed(query('a.example').subarray(0, 16), query('bet.example')));
    expect((await client.until(2)).map((answer) => answer.rcodeNumber)).toEqual([1, 3]);
  });

  it('one client cannot have all connections, nor all clients too many', async () => {
    const { tcp } = await gateway({ maxPerClient: 3 });
    const clients = [1, 2, 3].map(() => tcpClient(tcp.port));
    await expect.poll(() => tcp.stats()['open']).toBe(3);
    await tcpClient(tcp.port).closed;
    clients[0]?.socket.destroy();
    await expect.poll(() => tcp.stats()['open']).toBe(2);
    const next = tcpClient(tcp.port);
    next.socket.write(framed(query('bet.example')));
    expect((await next.until(1)).length).toBe(1);

    const small = await gateway({ maxConnections: 2 });
    [1, 2].map(() => tcpClient(small.tcp.port));
    await expect.poll(() => small.tcp.stats()['open']).toBe(2);
    await tcpClient(small.tcp.port).closed;
    expect(small.tcp.stats()['turnedAway']).toBe(1);
  });
});
