import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { createReceiver, createSender } from '../../src/udp/batch.ts';
import { loadLibc } from '../../src/udp/libc.ts';
import { openBoundSocket, openConnectedSocket, portOf } from '../../src/udp/sockets.ts';
import { watch } from '../../src/udp/watch.ts';

const libc = await loadLibc();
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

function socket(address = '127.0.0.1'): { fd: number; port: number } {
  const fd = openBoundSocket(libc, { address, port: 0, reusePort: false, bufferBytes: 1 << 18 });
  open.push(() => libc.close(fd));
  return { fd, port: portOf(libc, fd) };
}

function towards(port: number): { fd: number; send(): number } {
  const fd = openConnectedSocket(libc, { address: '127.0.0.1', port }, 1 << 18);
  open.push(() => libc.close(fd));
  const sender = createSender(libc, 64, 'connected');
  return {
    fd,
    send() {
      sender.push(8);
      return sender.flush(fd);
    },
  };
}

describe('watching a descriptor', () => {
  it('goes on after an exception, and tells of it', async () => {
    const { fd, port } = socket();
    const receiver = createReceiver(libc, 64, 'anyone');
    const errors: string[] = [];
    let read = 0;
    const watched = watch({
      libc,
      fd,
      onReadable: () => {
        read += receiver.receive(fd);
        throw new Error(`after ${read}`);
      },
      onError: (error) => {
        errors.push((error as Error).message);
        if (errors.length === 2) throw new Error('and one more');
      },
    });
    open.unshift(() => watched.close());
    const client = towards(port);
    for (let n = 1; n <= 5; n++) {
      client.send();
      await expect.poll(() => read, { interval: 1 }).toBe(n);
    }
    expect(errors).toEqual([1, 2, 3, 4, 5].map((n) => `after ${n}`));
  });

  it('is heard after any number of collections, with nobody holding it', async () => {
    const { fd, port } = socket();
    let read = 0;
    const begin = (): void => {
      const receiver = createReceiver(libc, 64, 'anyone');
      const watched = watch({
        libc,
        fd,
        onReadable: () => {
          const found = receiver.receive(fd);
          read += found;
          if (read === 30) watched.close();
          return found > 0;
        },
        onError: () => {},
      });
    };
    begin();
    const client = towards(port);
    for (let n = 1; n <= 30; n++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      client.send();
      await expect.poll(() => read, { interval: 1 }).toBe(n);
    }
  });

  it('is heard again after an error on a connected socket', async () => {
    const { fd: gone, port } = socket();
    open.pop();
    libc.close(gone);
    const client = towards(port);
    const receiver = createReceiver(libc, 64, 'connected');
    const seen: number[] = [];
    const watched = watch({
      libc,
      fd: client.fd,
      onReadable: () => {
        const found = receiver.receive(client.fd);
        if (found !== 0) seen.push(found);
        return found !== 0;
      },
      onError: () => {},
    });
    open.unshift(() => watched.close());
    for (let n = 1; n <= 3; n++) {
      client.send();
      await expect.poll(() => seen.length, { interval: 1 }).toBe(n);
    }
    // ECONNREFUSED each time: somebody said that nobody listens there.
    expect(seen).toEqual([-111, -111, -111]);
  });

  it('an error that no reading clears does not take the whole thread', async () => {
    const { fd: gone, port } = socket();
    open.pop();
    libc.close(gone);
    const client = towards(port);
    let calls = 0;
    // The error is never read: it stays on the socket.
    const watched = watch({ libc, fd: client.fd, onReadable: () => (calls++, false), onError: () => {} });
    open.unshift(() => watched.close());
    client.send();
    await expect.poll(() => calls).toBeGreaterThan(99);
    const before = calls;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(calls - before).toBeLessThan(20);
  });

  it('promises made in the callback go on without waiting for another event', async () => {
    const { fd, port } = socket();
    const receiver = createReceiver(libc, 64, 'anyone');
    const later = Promise.withResolvers<number>();
    let came = 0;
    const watched = watch({
      libc,
      fd,
      onReadable: () => {
        came = performance.now();
        void Promise.resolve().then(() => later.resolve(performance.now()));
        return receiver.receive(fd) > 0;
      },
      onError: () => {},
    });
    open.unshift(() => watched.close());
    const { port: other } = socket();
    towards(other).send();
    towards(port).send();
    expect((await later.promise) - came).toBeLessThan(1000);
  });

  it('is closed from within, and twice', async () => {
    const { fd, port } = socket();
    let calls = 0;
    const watched = watch({
      libc,
      fd,
      onReadable: () => {
        calls++;
        watched.close();
        return false;
      },
      onError: () => {},
    });
    towards(port).send();
    await expect.poll(() => calls).toBe(1);
    watched.close();
    towards(port).send();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls).toBe(1);
  });
});
