// Whether batched datagrams work on this machine, found out by sending some from a connected socket to a bound one, and back. Shows at the same time that the structures lie as batch.ts has them. On a machine where anything is otherwise, the gateway
// uses Node's own sockets.

import type { Libc } from './libc.ts';
import { BATCH, addressed, createReceiver, createSender } from './batch.ts';
import type { Receiver } from './batch.ts';
import { loadLibc } from './libc.ts';
import { writeName } from './names.ts';
import { duplicate, openBoundSocket, openConnectedSocket, portOf } from './sockets.ts';
import { watch } from './watch.ts';

export type BatchedUdp =
  { readonly ok: true; readonly libc: Libc } | { readonly ok: false; readonly reason: string };

const WAIT_MS = 2000;
const ROOM = 256;
const LOOPBACK = 0x7f000001;

class Unfit extends Error {}

const insist = (held: boolean, otherwise: string): void => {
  if (!held) throw new Unfit(otherwise);
};

/** Loads what is needed and tries it; never throws. The structures are those of 64-bit Linux, whatever the C library. */
export async function openBatchedUdp(load: () => Promise<Libc> = loadLibc): Promise<BatchedUdp> {
  const { platform, arch } = process;
  if (platform !== 'linux')
    return { ok: false, reason: `batched datagrams are for Linux, this is ${platform}` };
  if (arch !== 'x64' && arch !== 'arm64')
    return { ok: false, reason: `batched datagrams are for x64 and arm64, this is ${arch}` };
  let libc: Libc;
  try {
    libc = await load();
  } catch (error) {
    const text = (error as Error).message.split('\n', 1)[0];
    return { ok: false, reason: `the optional part that calls the system is not there: ${text}` };
  }
  try {
    await roundTrip(libc);
    return { ok: true, libc };
  } catch (error) {
    return { ok: false, reason: `the self-test of batched datagrams failed: ${(error as Error).message}` };
  }
}

async function roundTrip(libc: Libc): Promise<void> {
  const open: number[] = [];
  try {
    const server = openBoundSocket(libc, {
      address: '127.0.0.1',
      port: 0,
      reusePort: true,
      bufferBytes: 65536,
    });
    open.push(server);
    const client = openConnectedSocket(libc, { address: '127.0.0.1', port: portOf(libc, server) }, 65536);
    open.push(client);
    const clientPort = portOf(libc, client);

    const sender = createSender(libc, ROOM, 'connected');
    for (let i = 0; i < BATCH; i++) {
      sender.slot().fill(i, 0, i + 1);
      sender.push(i + 1);
    }
    insist(sender.flush(client) === 0 && sender.counts.sent === BATCH, 'not every datagram could be sent');

    const receiver = createReceiver(libc, ROOM, 'anyone');
    const answers = createSender(libc, ROOM, 'anyone');
    await readAll(receiver, server, (i, size, bytes) => {
      insist(
        size > 0 && bytes.every((byte) => byte === size - 1) && !receiver.cut(i),
        'a datagram arrived otherwise than it was sent',
      );
      insist(receiver.port(i) === clientPort, 'the port of the sender is not where it should be');
      insist(receiver.v4(i) === LOOPBACK, 'the address of the sender is not where it should be');
      answers.slot().set(bytes);
      // All ways of answering: at once, by an envelope kept for later, by one written from text.
      if (i % 3 === 0) answers.reply(size, receiver, i);
      else
        answers.replyTo(
          size,
          i % 3 === 1 ? receiver.envelope(i) : addressed(writeName('127.0.0.1', clientPort)),
        );
    });
    insist(answers.flush(server) === 0, 'the answers could not be sent');
    const back = createReceiver(libc, ROOM, 'connected');
    await readAll(back, client, (_i, size, bytes) =>
      insist(bytes[0] === size - 1, 'an answer arrived otherwise than it was sent'),
    );
    await hears(libc, server, () => {
      for (let i = 0; i < 2; i++) sender.push(ROOM);
      sender.flush(client);
    });
    // Too long for the slot: it must say so.
    const short = createReceiver(libc, 8, 'anyone');
    insist(short.receive(server) === 1 && short.cut(0), 'a datagram that was cut does not say so');
  } finally {
    for (const fd of open) libc.close(fd);
  }
}

/** Reads a whole batch, which is there already on most systems. */
async function readAll(
  receiver: Receiver,
  fd: number,
  look: (i: number, size: number, bytes: Uint8Array) => void,
): Promise<void> {
  const until = performance.now() + WAIT_MS;
  for (let left = BATCH; left > 0;) {
    const count = receiver.receive(fd);
    insist(count >= 0, `receiving failed with error ${-count}`);
    insist(
      count > 0 || performance.now() < until,
      `${left} of ${BATCH} datagrams did not arrive within ${WAIT_MS} ms`,
    );
    for (let i = 0; i < count; i++)
      look(i, receiver.length(i), receiver.slots[i]!.subarray(0, receiver.length(i)));
    left -= count;
    if (left > 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Node's own socket hears of datagrams on the same descriptor, and reads the first. */
async function hears(libc: Libc, fd: number, send: () => void): Promise<void> {
  const heard = Promise.withResolvers<void>();
  const watched = watch({
    fd: duplicate(libc, fd),
    family: 4,
    background: false,
    onPacket: (packet) => {
      watched.close();
      if (packet.length === ROOM) heard.resolve();
      else heard.reject(new Unfit('a datagram arrived otherwise than it was sent'));
    },
    onError: (error) => heard.reject(error),
  });
  const timer = setTimeout(
    () => heard.reject(new Unfit(`nothing was heard of a datagram within ${WAIT_MS} ms`)),
    WAIT_MS,
  );
  try {
    send();
    await heard.promise;
  } finally {
    clearTimeout(timer);
    watched.close();
  }
}
