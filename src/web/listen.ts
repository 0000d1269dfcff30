// Gives the web app its sockets: TCP for people, a socket file for the command line. The limits of a connection are here;
// what a request may do is the app's.

import { chmodSync, rmSync } from 'node:fs';
import type http from 'node:http';
import type net from 'node:net';
import type { WebApp } from './deps.ts';

export type WebListener = { close(graceMs: number): Promise<void> };

/** Times in ms. */
export type ConnectionLimits = {
  /** from the connection, or the end of the last answer, to the end of the headers */
  readonly headersMs: number;
  /** to the end of the body */
  readonly requestMs: number;
  /** how often connections are held against these times: how late an end can come */
  readonly checkMs: number;
  readonly connections: number;
  /** connections of one address; a class behind one address of a NAT still fits */
  readonly perClient: number;
};

const LIMITS: ConnectionLimits = {
  headersMs: 10_000,
  requestMs: 15_000,
  checkMs: 2_000,
  connections: 512,
  perClient: 64,
};

function createServer(app: WebApp, limits: ConnectionLimits): http.Server {
  // Not imported: that would load the browser's ways of fetching as well.
  const server = process.getBuiltinModule('node:http').createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: 10_000,
      // Node looks only every 30 s unless told, whatever the times are.
      connectionsCheckingInterval: limits.checkMs,
    },
    (request, response) => app.routing(request, response),
  );
  server.maxConnections = limits.connections;
  server.on('clientError', (error, socket) => app.server.emit('clientError', error, socket));
  return server;
}

/** Closes what one address opens beyond its share, so that no single machine can shut out the others. */
function limitPerClient(server: http.Server, most: number): void {
  // Holds addresses of open connections only: never more than the server takes.
  const open = new Map<string, number>();
  server.on('connection', (socket: net.Socket) => {
    const address = socket.remoteAddress?.replace(/^::ffff:/, '');
    const count = open.get(address ?? '') ?? 0;
    // A socket without an address is closed already.
    if (address === undefined || count >= most) {
      socket.destroy();
      return;
    }
    open.set(address, count + 1);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
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
  limits = LIMITS,
): Promise<WebListener> {
  const server = createServer(app, limits);
  limitPerClient(server, limits.perClient);
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
  const server = createServer(app, LIMITS);
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
