import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import { createUdpPool } from '../../src/resolver/udp-pool.ts';
import type { UdpPool, UdpPoolDeps } from '../../src/resolver/udp-pool.ts';
import { createBatchedPools } from '../../src/resolver/udp-pool-batched.ts';
import { loadLibc } from '../../src/udp/libc.ts';
import { createTurn } from '../../src/udp/turn.ts';
import { withSendFaults } from '../udp/faulty-libc.ts';

const libc = await loadLibc();
const turn = createTurn();

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const item of open.splice(0)) item.close();
});

type Seen = { id: number; port: number; bytes: Buffer };

/** An upstream that keeps what it is asked and answers what `answers` says. */
async function upstreamServer(answers: (seen: Seen, socket: Socket) => Buffer[] = ({ bytes }) => [bytes]) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  const seen: Seen[] = [];
  socket.on('message', (bytes, from) => {
    const one = { id: bytes.readUInt16BE(0), port: from.port, bytes };
    seen.push(one);
    for (const answer of answers(one, socket)) socket.send(answer, from.port, '127.0.0.1');
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  open.push(socket);
  return { seen, socket, upstream: { address: '127.0.0.1', port: socket.address().port } };
}

type Answered = { token: number; bytes: Uint8Array };
type Pool = {
  pool: UdpPool<number>;
  answered: Answered[];
  unreachable: { token: number; error: Error }[];
};
type Make = <T>(deps: UdpPoolDeps<T>) => UdpPool<T>;

function poolOf(
  make: Make,
  more: Partial<UdpPoolDeps<number>> & Pick<UdpPoolDeps<number>, 'upstream'>,
): Pool {
  const answered: Answered[] = [];
  const unreachable: Pool['unreachable'] = [];
  const pool = make<number>({
    sockets: 4,
    uses: 64,
    randomId: createRandomIds(),
    onAnswer: (answer, token) => {
      answered.push({ token, bytes: answer.slice() });
      return true;
    },
    onUnreachable: (token, error) => unreachable.push({ token, error }),
    ...more,
  });
  open.unshift(pool);
  return { pool, answered, unreachable };
}

const packetOf = (n: number, size = 40): Buffer => {
  const packet = Buffer.alloc(size);
  packet.writeUInt32BE(n, 12);
  return packet;
};

const WAYS: [string, Make][] = [
  ['dgram', createUdpPool],
  ['batched', createBatchedPools({ libc, turn })],
];

describe.each(WAYS)('pool of UDP sockets, %s', (_name, make) => {
  it('brings each answer to its token, and the packet may be used again at once', async () => {
    const { upstream, seen } = await upstreamServer();
    const { pool, answered } = poolOf(make, { upstream });
    const packet = packetOf(0);
    for (let n = 0; n < 500; n++) {
      packet.writeUInt32BE(n, 12);
      expect(pool.send(packet, n)).not.toBeNull();
      packet.fill(255);
      if (n % 100 === 99) await expect.poll(() => answered.length).toBe(n + 1);
    }
    for (const { token, bytes } of answered) expect(Buffer.from(bytes).readUInt32BE(12)).toBe(token);
    expect(new Set(answered.map(({ token }) => token)).size).toBe(500);
    expect(new Set(seen.map(({ id }) => id)).size).toBeGreaterThan(480);
  });

  it('gives a socket up after its share of queries: source ports change', async () => {
    const { upstream, seen } = await upstreamServer();
    const { pool, answered } = poolOf(make, { upstream, sockets: 2, uses: 10 });
    for (let n = 0; n < 200; n++) {
      pool.send(packetOf(n), n);
      await expect.poll(() => answered.length, { interval: 1 }).toBe(n + 1);
    }
    const uses = new Map<number, number>();
    for (const { port } of seen) uses.set(port, (uses.get(port) ?? 0) + 1);
    expect(uses.size).toBeGreaterThanOrEqual(19);
    // The system may give the same port twice.
    expect(Math.max(...uses.values())).toBeLessThanOrEqual(30);
  });

  it('draws the socket from all it has', async () => {
    const { upstream, seen } = await upstreamServer();
    const { pool, answered } = poolOf(make, { upstream, sockets: 8, uses: 1000 });
    for (let n = 0; n < 120; n++) {
      pool.send(packetOf(n), n);
      await expect.poll(() => answered.length, { interval: 1 }).toBe(n + 1);
    }
    expect(new Set(seen.map(({ port }) => port)).size).toBe(8);
  });

  it('hears only the upstream, only ids that wait, and each once', async () => {
    const stranger = createSocket('udp4');
    stranger.bind(0, '127.0.0.1');
    await once(stranger, 'listening');
    open.push(stranger);
    const { upstream } = await upstreamServer(({ bytes, port, id }) => {
      stranger.send(bytes, port, '127.0.0.1');
      const other = Buffer.from(bytes);
      other.writeUInt16BE(id ^ 1, 0);
      return [bytes.subarray(0, 11), Buffer.alloc(0), other, bytes, bytes];
    });
    const { pool, answered } = poolOf(make, { upstream });
    for (let n = 0; n < 20; n++) pool.send(packetOf(n), n);
    await expect.poll(() => answered.length).toBe(20);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(answered.length).toBe(20);
  });

  it('an answer that was not accepted leaves the query waiting', async () => {
    const { upstream } = await upstreamServer(({ bytes }) => {
      const forged = Buffer.from(bytes);
      forged[20] = 1;
      return [forged, bytes];
    });
    const got: number[] = [];
    const { pool } = poolOf(make, {
      upstream,
      onAnswer: (answer) => {
        got.push(answer[20] as number);
        return answer[20] === 0;
      },
    });
    pool.send(packetOf(1), 1);
    await expect.poll(() => got).toEqual([1, 0]);
  });

  it('a cancelled query is not heard of', async () => {
    const { upstream, seen } = await upstreamServer();
    const { pool, answered } = poolOf(make, { upstream });
    const flight = pool.send(packetOf(1), 1);
    flight?.cancel();
    flight?.cancel();
    pool.send(packetOf(2), 2);
    await expect.poll(() => seen.length).toBe(2);
    await expect.poll(() => answered.map(({ token }) => token)).toEqual([2]);
  });

  it('nobody listens there: everyone who waited is told, and the next query is sent', async () => {
    const { upstream, socket } = await upstreamServer();
    open.splice(open.indexOf(socket), 1);
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    const { pool, unreachable, answered } = poolOf(make, { upstream, sockets: 1 });
    for (let n = 0; n < 5; n++) pool.send(packetOf(n), n);
    await expect.poll(() => unreachable.length).toBe(5);
    expect(unreachable.map(({ token }) => token)).toEqual([0, 1, 2, 3, 4]);
    expect(unreachable[0]?.error.message).toContain('ECONNREFUSED');
    const again = createSocket('udp4').on('message', (bytes, from) => again.send(bytes, from.port));
    again.bind(upstream.port, '127.0.0.1');
    await once(again, 'listening');
    open.push(again);
    pool.send(packetOf(9), 9);
    await expect.poll(() => answered.map(({ token }) => token)).toEqual([9]);
  });

  it('may be asked and closed from within an answer', async () => {
    const { upstream } = await upstreamServer();
    let count = 0;
    const { pool } = poolOf(make, {
      upstream,
      sockets: 1,
      uses: 7,
      onAnswer: () => {
        count++;
        if (count < 50) pool.send(packetOf(count), count);
        if (count === 50) pool.close();
        return true;
      },
    });
    pool.send(packetOf(0), 0);
    await expect.poll(() => count).toBe(50);
    expect(pool.send(packetOf(0), 0)).toBeNull();
  });

  it('when every id is taken, the query is refused and those in flight stay', async () => {
    const { upstream, seen } = await upstreamServer(() => []);
    const { pool } = poolOf(make, { upstream, sockets: 1, randomId: () => 7 });
    expect(pool.send(packetOf(1), 1)).not.toBeNull();
    expect(pool.send(packetOf(2), 2)).toBeNull();
    await expect.poll(() => seen.map(({ id }) => id)).toEqual([7]);
  });

  it('an upstream that is no address, or cannot be had, is a refusal and not an exception', async () => {
    const { pool, unreachable } = poolOf(make, {
      upstream: { address: '255.255.255.255', port: 53 },
      sockets: 1,
    });
    pool.send(packetOf(1), 1);
    // Whether at once or later, whoever asked hears why.
    await expect.poll(() => unreachable.length).toBe(1);
    expect(unreachable[0]).toMatchObject({ token: 1, error: { code: expect.stringMatching(/^E[A-Z]+$/) } });
  });
});

describe('pool of UDP sockets, batched', () => {
  const make = WAYS[1]![1];

  it('sends what one turn asks by one call, from one port', async () => {
    const { upstream, seen } = await upstreamServer();
    let calls = 0;
    const counting = {
      ...libc,
      sendmmsg: (fd: number, headers: bigint, count: number, flags: number) => {
        calls++;
        return libc.sendmmsg(fd, headers, count, flags);
      },
    };
    const { pool, answered } = poolOf(createBatchedPools({ libc: counting, turn }), {
      upstream,
      uses: 1000,
    });
    for (let n = 0; n < 150; n++) pool.send(packetOf(n), n);
    turn.end();
    expect(calls).toBe(3);
    await expect.poll(() => answered.length).toBe(150);
    expect(new Set(seen.map(({ port }) => port)).size).toBeLessThanOrEqual(3);
  });

  it('a send that fails tells everyone who waits on the socket', async () => {
    const { upstream } = await upstreamServer(() => []);
    const faulty = withSendFaults(libc, [null, 101]);
    const { pool, unreachable } = poolOf(createBatchedPools({ libc: faulty, turn }), {
      upstream,
      sockets: 1,
    });
    pool.send(packetOf(1), 1);
    turn.end();
    pool.send(packetOf(2), 2);
    turn.end();
    expect(unreachable.map(({ token, error }) => [token, error.message.split(' ', 2)])).toEqual([
      [1, ['sendmmsg', 'ENETUNREACH']],
      [2, ['sendmmsg', 'ENETUNREACH']],
    ]);
  });

  it('an answer that is too long counts as cut off, and a query that is too long is refused', async () => {
    const { upstream } = await upstreamServer(({ bytes }) => [Buffer.concat([bytes, Buffer.alloc(9000)])]);
    const { pool, answered } = poolOf(make, { upstream });
    for (let n = 0; n < 20; n++) pool.send(packetOf(n), n);
    await expect.poll(() => answered.length).toBe(20);
    // Those that Node has read are whole.
    for (const { bytes } of answered)
      expect([bytes.length, bytes[2]! & 2]).toEqual(bytes.length === 9040 ? [9040, 0] : [4096, 2]);
    expect(pool.send(packetOf(2, 5000), 2)).toBeNull();
  });
});
