// The limits of a connection over real sockets: times for the headers, and how many one client may open.

import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenControl, listenWeb } from '../../src/web/listen.ts';
import type { ConnectionLimits, WebListener } from '../../src/web/listen.ts';
import { openGateway } from './fixture.ts';
import type { Gateway } from './fixture.ts';

const LIMITS: ConnectionLimits = {
  headersMs: 300,
  requestMs: 600,
  checkMs: 50,
  connections: 20,
  perClient: 4,
};
const HEALTH = 'GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n';

let gateway: Gateway;
let listener: WebListener | undefined;
let sockets: net.Socket[];
beforeEach(async () => {
  gateway = await openGateway();
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await listener?.close(1_000);
  listener = undefined;
  await gateway.close();
});

/** A port that was free a moment ago. */
const freePort = async (): Promise<number> => {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

const listen = async (limits?: ConnectionLimits): Promise<number> => {
  const port = await freePort();
  listener = await listenWeb(gateway.app, { address: '127.0.0.1', port }, limits);
  return port;
};

const connect = (options: net.NetConnectOpts): net.Socket => {
  const socket = net.connect(options);
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
};

/** True when the connection is answered, false when it is closed instead. */
const isServed = async (socket: net.Socket): Promise<boolean> => {
  const answered = new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
  });
  socket.write(HEALTH);
  return answered;
};

const from = (port: number, localAddress: string): net.NetConnectOpts => ({
  host: '127.0.0.1',
  port,
  localAddress,
});

describe('the time for headers', () => {
  it.each([
    ['headers that never end', 'GET /health HTTP/1.1\r\nhost: localhost\r\n'],
    [
      'a body that never ends',
      'POST /api/v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
    ],
  ])('%s: answered 408 and closed soon after the time', async (_name, bytes) => {
    const socket = connect({ host: '127.0.0.1', port: await listen(LIMITS) });
    socket.write(bytes);
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"timeout"');
  });

  it('is ten seconds as it is set, not half a minute', { timeout: 20_000 }, async () => {
    const port = await listen();
    const since = performance.now();
    const socket = connect({ host: '127.0.0.1', port });
    socket.write('GET /health HTTP/1.1\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 /);
    expect(performance.now() - since).toBeGreaterThan(9_000);
    expect(performance.now() - since).toBeLessThan(15_000);
  });
});

describe('connections of one client', () => {
  it('beyond its share are closed; others are served, and it is again when it has closed some', async () => {
    const port = await listen({ ...LIMITS, headersMs: 10_000, requestMs: 10_000 });
    const served: boolean[] = [];
    for (let n = 0; n < 6; n++) served.push(await isServed(connect(from(port, '127.0.0.2'))));
    expect(served).toEqual([true, true, true, true, false, false]);
    expect(await isServed(connect(from(port, '127.0.0.3')))).toBe(true);
    sockets[0]!.destroy();
    sockets[1]!.destroy();
    await expect.poll(() => isServed(connect(from(port, '127.0.0.2')))).toBe(true);
  });

  it('are not counted on the control socket', async () => {
    const file = join(gateway.dir, 'control.sock');
    listener = await listenControl(gateway.app, file, () => undefined);
    for (let n = 0; n < 100; n++) expect(await isServed(connect({ path: file }))).toBe(true);
  });
});
