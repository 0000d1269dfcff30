// Gives the web app its sockets: TCP for people, a socket file for the command line. The limits of a connection are here;
// what a request may do is the app's.

import { chmodSync, rmSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import type { WebApp } from './deps.ts';

export type WebListener = { close(graceMs: number): Promise<void> };

const MAX_CONNECTIONS = 512;

function createServer(app: WebApp): http.Server {
  const server = http.createServer((request, response) => app.routing(request, response));
  server.headersTimeout = 10_000;
  server.requestTimeout = 15_000;
  server.keepAliveTimeout = 10_000;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', (error, socket) => app.server.emit('clientError', error, socket));
  return server;
}

function closer(server: http.Server): WebListener {
  return {
    close: (graceMs) =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** @throws the system's error when the address cannot be had */
export async function listenWeb(
  app: WebApp,
  endpoint: { address: string; port: number },
): Promise<WebListener> {
  const server = createServer(app);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: endpoint.address, port: endpoint.port }, resolve);
  });
  return closer(server);
}

/**
 * Listens on a socket file that only the gateway's own user can open (mode 0600) and tells each connection to `trust`:
 * whoever can connect owns the gateway's files anyway. The caller holds the data directory's lock, so a file that is there
 * was left by a gateway that died.
 */
export async function listenControl(
  app: WebApp,
  file: string,
  trust: (socket: net.Socket) => void,
): Promise<WebListener> {
  rmSync(file, { force: true });
  const server = createServer(app);
  server.on('connection', trust);
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(file, resolve);
    });
    chmodSync(file, 0o600);
  } finally {
    process.umask(mask);
  }
  const { close } = closer(server);
  return {
    close: async (graceMs) => {
      await close(graceMs);
      rmSync(file, { force: true });
    },
  };
}
