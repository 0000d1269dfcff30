// Clients that go away in the middle of a request: nobody's fault, and no line in the log.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toApiError } from '../../src/web/errors.ts';
import { openGateway } from './fixture.ts';
import type { Gateway } from './fixture.ts';

let gateway: Gateway;
let server: http.Server;
beforeEach(async () => {
  gateway = await openGateway();
  server = http.createServer((request, response) => gateway.app.routing(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  server.close();
  await gateway.close();
});

const HEAD =
  'POST /api/v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n';

describe('a client that closes in the middle of a body', () => {
  it.each([
    ['with a reset', (socket: net.Socket) => socket.resetAndDestroy()],
    ['at once', (socket: net.Socket) => socket.destroy()],
    ['its side only', (socket: net.Socket) => socket.end()],
  ])('%s leaves no line in the log', async (_name, close) => {
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    const arrived = once(server, 'request') as Promise<[http.IncomingMessage]>;
    socket.write(`${HEAD}{"username":`);
    const [request] = await arrived;
    // The body is read before it is cut off.
    while (request.readableFlowing !== true) await nextTurn();
    const closed = new Promise((resolve) => request.once('close', resolve));
    close(socket);
    await closed;
    await nextTurn();
    await nextTurn();
    socket.destroy();
    expect(gateway.logged).toEqual([]);
  });

  it('is told apart from a fault of ours', () => {
    expect(toApiError(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }))?.code).toBe('aborted');
    expect(toApiError(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))?.code).toBe(
      'aborted',
    );
    expect(toApiError(new Error('aborted'))).toBeNull();
  });
});
