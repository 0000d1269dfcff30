import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { BATCH, addressed, createReceiver, createSender } from '../../src/udp/batch.ts';
import { EAGAIN, EINTR, loadLibc } from '../../src/udp/libc.ts';
import type { Libc } from '../../src/udp/libc.ts';
import { createAddressTexts, writeName } from '../../src/udp/names.ts';
import { openBatchedUdp } from '../../src/udp/self-test.ts';
import { openBoundSocket, openConnectedSocket, portOf, systemQueue } from '../../src/udp/sockets.ts';
import { createTurn } from '../../src/udp/turn.ts';
import { withPortZero, withReceiveFaults, withSendFaults } from './faulty-libc.ts';

const libc = await loadLibc();
const EINVAL = 22;
const EPERM = 1;

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) libc.close(fd);
});
const kept = (fd: number): number => {
  open.push(fd);
  return fd;
};

function pair(address = '127.0.0.1'): { server: number; client: number; clientPort: number } {
  const server = kept(openBoundSocket(libc, { address, port: 0, reusePort: false, bufferBytes: 1 << 20 }));
  const client = kept(openConnectedSocket(libc, { address, port: portOf(libc, server) }, 1 << 20));
  return { server, client, clientPort: portOf(libc, client) };
}

describe('batches', () => {
  it('carry 64 datagrams and their sender, IPv4', () => {
    const { server, client, clientPort } = pair();
    const sender = createSender(libc, 128, 'connected');
    for (let n = 0; n < 3; n++) {
      for (let i = 0; i < BATCH; i++) {
        sender.slot().fill(n + i, 0, i + 1);
        sender.push(i + 1);
      }
      expect(sender.queued()).toBe(BATCH);
      expect(sender.flush(client)).toBe(0);
      const receiver = createReceiver(libc, 128, 'anyone');
      expect(receiver.receive(server)).toBe(BATCH);
      for (let i = 0; i < BATCH; i++) {
        expect([receiver.length(i), receiver.slots[i]![0], receiver.port(i), receiver.cut(i)]).toEqual([
          i + 1,
          n + i,
          clientPort,
          false,
        ]);
        expect(receiver.v4(i)).toBe(0x7f000001);
      }
      expect(receiver.receive(server)).toBe(0);
    }
    expect(sender.counts).toEqual({ sent: 3 * BATCH, dropped: 0, errors: 0, batches: 3 });
  });

  it('carry the sender, IPv6', () => {
    const { server, client, clientPort } = pair('::1');
    const sender = createSender(libc, 64, 'connected');
    sender.push(10);
    sender.flush(client);
    const receiver = createReceiver(libc, 64, 'anyone');
    expect(receiver.receive(server)).toBe(1);
    expect([receiver.v4(0), receiver.port(0), receiver.v6(0, createAddressTexts())]).toEqual([
      -1,
      clientPort,
      '::1',
    ]);
  });

  it.each(['127.0.0.7', '::1'])('answer at once and later, by what was kept or written: %s', (asked) => {
    const { server, client, clientPort } = pair(asked);
    const sender = createSender(libc, 64, 'connected');
    for (let i = 0; i < 4; i++) sender.push(10 + i);
    sender.flush(client);
    const receiver = createReceiver(libc, 64, 'anyone');
    const answers = createSender(libc, 64, 'anyone');
    expect(receiver.receive(server)).toBe(4);
    const envelope = receiver.envelope(0);
    for (let i = 1; i < 4; i++) answers.reply(20 + i, receiver, i);
    expect(answers.flush(server)).toBe(0);
    // What was kept is good after other packets have come.
    sender.push(60);
    sender.flush(client);
    expect(receiver.receive(server)).toBe(1);
    answers.replyTo(20, envelope);
    answers.replyTo(25, addressed(writeName(asked === '::1' ? '::1' : '127.0.0.1', clientPort)));
    expect(answers.flush(server)).toBe(0);
    const back = createReceiver(libc, 64, 'connected');
    expect(back.receive(client)).toBe(5);
    expect([0, 1, 2, 3, 4].map((i) => back.length(i))).toEqual([21, 22, 23, 20, 25]);
  });

  it('say of a packet that is too long that it was cut, and carry empty ones', () => {
    const { server, client } = pair();
    const sender = createSender(libc, 128, 'connected');
    sender.push(128);
    sender.push(64);
    sender.flush(client);
    const receiver = createReceiver(libc, 64, 'anyone');
    expect(receiver.receive(server)).toBe(2);
    expect([receiver.cut(0), receiver.length(0), receiver.cut(1)]).toEqual([true, 64, false]);
  });

  it('a length beyond the room is never sent', () => {
    const { server, client } = pair();
    const sender = createSender(libc, 100, 'connected');
    for (const length of [0, -1, 101, 1 << 20, 50]) sender.push(length);
    expect(sender.queued()).toBe(1);
    expect(sender.flush(client)).toBe(0);
    const receiver = createReceiver(libc, 100, 'anyone');
    expect(receiver.receive(server)).toBe(1);
    expect(receiver.length(0)).toBe(50);
    expect(sender.counts.errors).toBe(4);
  });

  it('an answer to port 0 costs itself alone', () => {
    const { server, client } = pair();
    const sender = createSender(libc, 64, 'connected');
    for (let i = 0; i < 5; i++) sender.push(10 + i);
    sender.flush(client);
    let zero = true;
    const receiver = createReceiver(
      withPortZero(libc, () => zero),
      64,
      'anyone',
    );
    const answers = createSender(libc, 64, 'anyone');
    expect(receiver.receive(server)).toBe(5);
    expect(receiver.port(0)).toBe(0);
    answers.reply(30, receiver, 0);
    answers.reply(31, receiver, 1);
    zero = false;
    sender.push(9);
    sender.flush(client);
    expect(receiver.receive(server)).toBe(1);
    answers.reply(32, receiver, 0);
    expect(answers.flush(server)).toBe(EINVAL);
    expect(answers.counts).toMatchObject({ sent: 1, errors: 2 });
    const back = createReceiver(libc, 64, 'connected');
    expect(back.receive(client)).toBe(1);
    expect(back.length(0)).toBe(32);
  });

  it.each([
    ['a signal', [EINTR, EINTR], { sent: 8, dropped: 0, errors: 0 }, 0],
    ['a refusal', [EPERM], { sent: 7, dropped: 0, errors: 1 }, EPERM],
    ['a full buffer', [EAGAIN], { sent: 0, dropped: 8, errors: 0 }, 0],
    ['signals without end', Array(30).fill(EINTR), { sent: 0, dropped: 0, errors: 8 }, EINTR],
  ])('sending meets %s', (_what, faults, counts, last) => {
    const { client } = pair();
    const sender = createSender(withSendFaults(libc, faults), 64, 'connected');
    for (let i = 0; i < 8; i++) sender.push(10);
    expect(sender.flush(client)).toBe(last);
    expect(sender.counts).toMatchObject(counts);
    expect(sender.queued()).toBe(0);
  });

  it('receiving meets a signal, nothing, and an error', () => {
    const { server, client } = pair();
    const sender = createSender(libc, 64, 'connected');
    sender.push(10);
    sender.flush(client);
    const receiver = createReceiver(withReceiveFaults(libc, [EAGAIN, EPERM, EINTR, EINTR]), 64, 'anyone');
    expect([receiver.receive(server), receiver.receive(server), receiver.receive(server)]).toEqual([
      0,
      -EPERM,
      1,
    ]);
  });

  it('the system tells what waits and what found no room', () => {
    const server = kept(
      openBoundSocket(libc, { address: '127.0.0.1', port: 0, reusePort: false, bufferBytes: 1 }),
    );
    const client = kept(
      openConnectedSocket(libc, { address: '127.0.0.1', port: portOf(libc, server) }, 1 << 20),
    );
    const sender = createSender(libc, 1024, 'connected');
    for (let i = 0; i < BATCH; i++) sender.push(1024);
    sender.flush(client);
    const queue = systemQueue(libc, server);
    expect(queue.waiting).toBeGreaterThan(0);
    expect(queue.dropped).toBeGreaterThan(0);
    expect(systemQueue(libc, -1)).toEqual({ waiting: 0, dropped: 0 });
  });

  it('work beside Node’s own sockets and over many collections of garbage', async () => {
    const server = kept(
      openBoundSocket(libc, { address: '127.0.0.1', port: 0, reusePort: false, bufferBytes: 1 << 20 }),
    );
    const port = portOf(libc, server);
    const receiver = createReceiver(libc, 64, 'anyone');
    const answers = createSender(libc, 64, 'anyone');
    const client = createSocket('udp4');
    client.connect(port, '127.0.0.1');
    await once(client, 'connect');
    for (let n = 0; n < 50; n++) {
      const rubbish = Array.from({ length: 2000 }, () => new Uint8Array(500));
      client.send(Buffer.from([n, rubbish.length & 255]));
      await new Promise((resolve) => setImmediate(resolve));
      expect(receiver.receive(server)).toBe(1);
      expect(receiver.slots[0]![0]).toBe(n);
      answers.slot()[0] = n;
      answers.reply(1, receiver, 0);
      expect(answers.flush(server)).toBe(0);
      const [back] = (await once(client, 'message')) as [Buffer];
      expect([...back]).toEqual([n]);
    }
    client.close();
  });
});

describe('sockets', () => {
  it.each([
    [
      'bind',
      () => openBoundSocket(libc, { address: '192.0.2.1', port: 0, reusePort: false, bufferBytes: 1 }),
      'EADDRNOTAVAIL',
    ],
    ['connect', () => openConnectedSocket(libc, { address: '255.255.255.255', port: 53 }, 1), 'EACCES'],
  ])('%s: an error has the system’s code and names the address', (call, run, code) => {
    expect(run).toThrow(expect.objectContaining({ code, syscall: call }));
    expect(run).toThrow(new RegExp(`${call} ${code} [\\d.]+:\\d+`));
  });

  it('what is no address, or has a zone nobody knows, is refused', () => {
    expect(() => writeName('dns.example', 53)).toThrow('dns.example is no IP address');
    expect(() => writeName('fe80::1%nowhere', 53)).toThrow(
      'fe80::1%nowhere: this machine has no interface nowhere',
    );
    expect(writeName('fe80::1%7', 53).bytes[24]).toBe(7);
    expect([...writeName('10.1.2.3', 53).bytes]).toEqual([2, 0, 0, 53, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('IPv6 senders are written as Node writes them', () => {
    const texts = createAddressTexts();
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = new Uint8Array(groups.flatMap((g) => [g >> 8, g & 255]));
        const text = texts(new Uint32Array(bytes.buffer), 0);
        expect(texts(new Uint32Array(bytes.buffer), 0)).toBe(text);
        const address = new SocketAddress({
          family: 'ipv6',
          address: groups.map((g) => g.toString(16)).join(':'),
        });
        // The old form with an IPv4 part at the end is written otherwise there; no such address is in use.
        if (!address.address.includes('.')) expect(text).toBe(address.address);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a turn', () => {
  it('ends when it is said, or by itself after the events at hand, each task once', async () => {
    const turn = createTurn();
    const done: string[] = [];
    turn.soon(() => {
      done.push('a');
      turn.soon(() => done.push('b'));
    });
    turn.end();
    expect(done).toEqual(['a', 'b']);
    turn.end();
    turn.soon(() => done.push('c'));
    expect(done).toEqual(['a', 'b']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual(['a', 'b', 'c']);
  });

  it('a task that always wants another one does not hold the thread', async () => {
    const turn = createTurn();
    let runs = 0;
    const again = (): void => {
      if (++runs < 100) turn.soon(again);
    };
    turn.soon(again);
    turn.end();
    expect(runs).toBeLessThan(20);
    await expect.poll(() => runs).toBe(100);
  });
});

describe('the self-test', () => {
  it('passes here', async () => {
    expect(await openBatchedUdp()).toMatchObject({ ok: true });
  });

  it('says so when the optional part is missing', async () => {
    const missing = (): Promise<never> => Promise.reject(new Error("Cannot find package 'koffi'\nand more"));
    expect(await openBatchedUdp(missing)).toEqual({
      ok: false,
      reason: "the optional part that calls the system is not there: Cannot find package 'koffi'",
    });
  });

  it.each<[string, Partial<Libc>, RegExp]>([
    ['sends nothing', { sendmmsg: () => 0 }, /not every datagram could be sent/],
    ['cannot open a socket', { socket: () => -1, errno: () => 24 }, /socket EMFILE/],
    ['receives an error', { recvmmsg: () => -1, errno: () => 38 }, /receiving failed with error 38/],
    ['has another number for a second descriptor', { fcntl: () => -1, errno: () => 22 }, /fcntl EINVAL/],
    [
      'puts the port elsewhere',
      { getsockname: (_fd: number, name: Uint8Array) => ((name[3] = 9), 0) },
      /ECONN|port of the sender|not every|did not arrive|sent/,
    ],
  ])('fails with the reason where the system %s', async (_what, fault, reason) => {
    const result = await openBatchedUdp(async () => ({ ...libc, ...fault }));
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });
});
