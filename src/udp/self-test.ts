// Whether batched datagrams work on this machine, found out by sending some: to a wildcard socket, from a connected one, and
// back. Shows at the same time that the structures lie as batch.ts has them. On a machine where anything is otherwise, the gateway
// uses Node's own sockets.

import type { Libc } from './libc.ts';
import { BATCH, createReceiver, createSender } from './batch.ts';
import { EAGAIN, loadLibc } from './libc.ts';
import { openBoundSocket, openConnectedSocket, portOf } from './sockets.ts';
import { watch } from './watch.ts';

export type BatchedUdp =
  { readonly ok: true; readonly libc: Libc } | { readonly ok: false; readonly reason: string };

const WAIT_MS = 2000;
const ROOM = 256;
const ASKED = 0x7f000001;

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
      address: '0.0.0.0',
      port: 0,
      reusePort: true,
      bufferBytes: 65536,
    });
    open.push(server);
    const port = portOf(libc, server);
    const client = openConnectedSocket(libc, { address: '127.0.0.1', port }, 65536);
    open.push(client);

    const sender = createSender(libc, ROOM, 'connected');
    for (let i = 0; i < BATCH; i++) {
      sender.slot().fill(i, 0, i + 1);
      sender.push(i + 1);
    }
    insist(sender.flush(client) === 0 && sender.counts.sent === BATCH, 'not every datagram could be sent');

    const receiver = createReceiver(libc, ROOM, 'wildcard');
    const answers = createSender(libc, ROOM, 'wildcard');
    await readUntil(libc, server, BATCH, () => {
      const count = receiver.receive(server);
      insist(count >= 0, `receiving failed with error ${-count}`);
      for (let i = 0; i < count; i++) {
        const size = receiver.length(i);
        const bytes = receiver.slots[i]!.subarray(0, size);
        insist(
          size > 0 && bytes.every((byte) => byte === size - 1) && !receiver.cut(i),
          'a datagram arrived otherwise than it was sent',
        );
        insist(receiver.port(i) === portOf(libc, client), 'the port of the sender is not where it should be');
        insist(receiver.v4(i) === ASKED, 'the address of the sender is not where it should be');
        answers.slot().set(bytes);
        // Both ways of answering: at once, and by an envelope kept for later.
        if (i % 2 === 0) answers.reply(size, receiver, i);
        else answers.replyTo(size, receiver.envelope(i));
      }
      insist(answers.flush(server) === 0, 'the answers could not be sent from the address that was asked');
      return count;
    });

    const back = createReceiver(libc, ROOM, 'connected');
    await readUntil(libc, client, BATCH, () => {
      const count = back.receive(client);
      insist(count >= 0, `receiving failed with error ${-count}`);
      for (let i = 0; i < count; i++)
        insist(back.slots[i]![0] === back.length(i) - 1, 'an answer arrived otherwise than it was sent');
      return count;
    });
    // Too long for the slot: it must say so.
    const long = createReceiver(libc, 8, 'connected');
    answers.slot().fill(7);
    answers.reply(64, receiver, 0);
    insist(answers.flush(server) === 0, 'the answers could not be sent from the address that was asked');
    await readUntil(libc, client, 1, () => {
      const count = long.receive(client);
      insist(count <= 1 && (count < 1 || long.cut(0)), 'a datagram that was cut does not say so');
      return count;
    });
    insist(receiver.receive(server) === 0, `an empty socket is not told by error ${EAGAIN}`);
  } finally {
    for (const fd of open) libc.close(fd);
  }
}

/** Reads by `read` as the event loop says there is something, until `count` datagrams were read. */
async function readUntil(libc: Libc, fd: number, count: number, read: () => number): Promise<void> {
  const done = Promise.withResolvers<void>();
  let left = count;
  const timer = setTimeout(
    () => done.reject(new Unfit(`${left} of ${count} datagrams did not arrive within ${WAIT_MS} ms`)),
    WAIT_MS,
  );
  const watched = watch({
    libc,
    fd,
    onReadable: () => {
      const found = read();
      left -= found;
      if (left <= 0) done.resolve();
      return found > 0;
    },
    onError: (error) => done.reject(error as Error),
  });
  try {
    await done.promise;
  } finally {
    clearTimeout(timer);
    watched.close();
  }
}
