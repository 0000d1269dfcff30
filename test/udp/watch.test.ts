import { afterEach, describe, expect, it } from 'vitest';
import { createReceiver, createSender } from '../../src/udp/batch.ts';
import { loadLibc } from '../../src/udp/libc.ts';
import { duplicate, openBoundSocket, openConnectedSocket, portOf } from '../../src/udp/sockets.ts';
import { watch } from '../../src/udp/watch.ts';

const libc = await loadLibc();

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

function socket(): { fd: number; port: number } {
  const fd = openBoundSocket(libc, { address: '127.0.0.1', port: 0, reusePort: false, bufferBytes: 1 << 18 });
  open.push(() => libc.close(fd));
  return { fd, port: portOf(libc, fd) };
}

function towards(port: number): { fd: number; send(count?: number): number } {
  const fd = openConnectedSocket(libc, { address: '127.0.0.1', port }, 1 << 18);
  open.push(() => libc.close(fd));
  const sender = createSender(libc, 64, 'connected');
  return {
    fd,
    send(count = 1) {
      for (let i = 0; i < count; i++) sender.push(8);
      return sender.flush(fd);
    },
  };
}

describe('watching a descriptor', () => {
  it('brings the first packet, and leaves the others to be read by batches', async () => {
    const { fd, port } = socket();
    const receiver = createReceiver(libc, 64, 'anyone');
    const found: number[] = [];
    const client = towards(port);
    const watched = watch({
      fd: duplicate(libc, fd),
      family: 4,
      background: false,
      onPacket: (packet, from) => {
        expect([packet.length, from.port, from.address]).toEqual([8, portOf(libc, client.fd), '127.0.0.1']);
        found.push(receiver.receive(fd));
      },
      onError: () => {},
    });
    open.unshift(() => watched.close());
    client.send(50);
    await expect.poll(() => found).toEqual([49]);
    client.send(1);
    await expect.poll(() => found).toEqual([49, 0]);
  });

  it('goes on after an exception, and tells of it', async () => {
    const { fd, port } = socket();
    const errors: string[] = [];
    const watched = watch({
      fd: duplicate(libc, fd),
      family: 4,
      background: false,
      onPacket: () => {
        throw new Error(`number ${errors.length}`);
      },
      onError: (error) => errors.push(error.message),
    });
    open.unshift(() => watched.close());
    towards(port).send(3);
    await expect.poll(() => errors).toEqual(['number 0', 'number 1', 'number 2']);
  });

  it('tells of an error on a connected socket, each time', async () => {
    const { fd: gone, port } = socket();
    open.pop();
    libc.close(gone);
    const client = towards(port);
    const errors: string[] = [];
    const watched = watch({
      fd: duplicate(libc, client.fd),
      family: 4,
      background: true,
      onPacket: () => {},
      onError: (error) => errors.push((error as NodeJS.ErrnoException).code ?? ''),
    });
    open.unshift(() => watched.close());
    for (let n = 1; n <= 3; n++) {
      client.send();
      await expect.poll(() => errors.length, { interval: 1 }).toBe(n);
    }
    expect(new Set(errors)).toEqual(new Set(['ECONNREFUSED']));
  });

  it('is closed from within, and twice; the socket itself stays open for others', async () => {
    const { fd, port } = socket();
    let calls = 0;
    const watched = watch({
      fd: duplicate(libc, fd),
      family: 4,
      background: false,
      onPacket: () => {
        calls++;
        watched.close();
      },
      onError: () => {},
    });
    towards(port).send();
    await expect.poll(() => calls).toBe(1);
    watched.close();
    towards(port).send();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls).toBe(1);
    expect(createReceiver(libc, 64, 'anyone').receive(fd)).toBe(1);
  });

  it('what is no descriptor of a socket is refused', () => {
    expect(() =>
      watch({ fd: 1 << 20, family: 4, background: false, onPacket: () => {}, onError: () => {} }),
    ).toThrow();
    expect(() => duplicate(libc, 1 << 20)).toThrow('fcntl EBADF');
  });
});
