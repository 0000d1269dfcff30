// Encrypted upstreams on loopback that do what a test tells them: DNS over TLS and over HTTPS (both versions of HTTP), with the
// test's certificate. Speaks through dns-packet, so that what it sends is checked by other code than ours.

import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type {
  Http2SecureServer,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { decode } from 'dns-packet';
import { testCertificate, testKey } from '../support/certificate.ts';
import { addressRecord, answerTo } from './scripted-upstream.ts';
import type { Asked } from './scripted-upstream.ts';

export type SecureAsked = Asked & { readonly connection: number };

export type SecureServer = {
  readonly port: number;
  readonly asked: SecureAsked[];
  /** connections begun, and those that took up an earlier TLS session */
  readonly connections: () => number;
  readonly resumed: () => number;
  close(): void;
};

type Certificates = { readonly cert?: string; readonly key?: string };

const read = (bytes: Buffer, connection: number): SecureAsked => {
  const query = decode(bytes);
  const question = query.questions?.[0];
  return {
    bytes,
    name: (question?.name ?? '').toLowerCase(),
    type: question?.type ?? '',
    port: 0,
    id: query.id ?? 0,
    byTcp: true,
    connection,
  };
};

export const goodAnswer = (asked: Asked): Buffer =>
  answerTo(asked, asked.type === 'A' ? [addressRecord(asked.name, '192.0.2.1')] : []);

export const framed = (message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);

/** `script` writes to the socket what it likes. */
export async function startTlsUpstream(
  script: (asked: SecureAsked, socket: TLSSocket) => void = (asked, socket) =>
    socket.write(framed(goodAnswer(asked))),
  more: Certificates = {},
): Promise<SecureServer> {
  const asked: SecureAsked[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let resumed = 0;
  const server = createServer({ cert: testCertificate, key: testKey, ...more }, (socket) => {
    const connection = ++connections;
    if (socket.isSessionReused()) resumed++;
    let rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
        const size = rest.readUInt16BE(0);
        const query = read(Buffer.from(rest.subarray(2, size + 2)), connection);
        rest = rest.subarray(size + 2);
        asked.push(query);
        script(query, socket);
      }
    });
  });
  server.on('tlsClientError', () => {});
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    connections: () => connections,
    resumed: () => resumed,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export type HttpsScript = (
  asked: SecureAsked,
  response: Http2ServerResponse,
  session: ServerHttp2Session | undefined,
) => void;

export const respond = (response: Http2ServerResponse, message: Uint8Array): void => {
  response.writeHead(200, { 'content-type': 'application/dns-message' });
  response.end(message);
};

/** Speaks HTTP/2, or HTTP/1.1 alone when `old`. */
export async function startHttpsUpstream(
  script: HttpsScript = (asked, response) => respond(response, goodAnswer(asked)),
  old = false,
): Promise<SecureServer & { readonly requests: { method: string; path: string; version: string }[] }> {
  const asked: SecureAsked[] = [];
  const requests: { method: string; path: string; version: string }[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let resumed = 0;
  const keys = { cert: testCertificate, key: testKey };
  // The same handler serves both: what they have in common is all that it uses, the stream apart.
  const server = old
    ? (createHttpsServer(keys) as unknown as Http2SecureServer)
    : createSecureServer({ ...keys, allowHTTP1: true });
  server.on('secureConnection', (socket: TLSSocket) => {
    connections++;
    if (socket.isSessionReused()) resumed++;
  });
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on('sessionError', () => {});
  server.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    response.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push({ method: request.method, path: request.url, version: request.httpVersion });
      const query = read(Buffer.concat(chunks), connections);
      asked.push(query);
      script(query, response, request.stream?.session as ServerHttp2Session | undefined);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    requests,
    connections: () => connections,
    resumed: () => resumed,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
