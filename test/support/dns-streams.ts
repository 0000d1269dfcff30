// Clients of DNS over TCP, DoT and DoH for tests, made of Node's own sockets: they say what they are told to, bytes included.

import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { testAuthority } from './certificate.ts';

/** Packets with their lengths before them. */
export const framed = (...packets: Uint8Array[]): Buffer =>
  Buffer.concat(
    packets.flatMap((packet) => [Buffer.from([packet.length >> 8, packet.length & 255]), packet]),
  );

export type StreamClient = {
  readonly socket: Socket;
  readonly answers: Buffer[];
  /** chunks as they came: as many as the server's writes, on a quiet machine */
  readonly chunks: number[];
  /** the server's side is at its end */
  readonly closed: Promise<void>;
  until(count: number, timeoutMs?: number): Promise<Buffer[]>;
};

function streamClient(socket: Socket): StreamClient {
  const answers: Buffer[] = [];
  const chunks: number[] = [];
  let rest = Buffer.alloc(0);
  let wake = (): void => {};
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk.length);
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
      const size = rest.readUInt16BE(0);
      answers.push(Buffer.from(rest.subarray(2, size + 2)));
      rest = rest.subarray(size + 2);
    }
    wake();
  });
  const closed = new Promise<void>((resolve) => {
    socket.on('end', resolve).on('close', resolve);
  });
  return {
    socket,
    answers,
    chunks,
    closed,
    async until(count, timeoutMs = 5000) {
      const deadline = AbortSignal.timeout(timeoutMs);
      while (answers.length < count) {
        await new Promise<void>((resolve, reject) => {
          const fail = (why: string) => () =>
            reject(new Error(`${answers.length} of ${count} answers, then ${why}`));
          wake = resolve;
          deadline.addEventListener('abort', fail('nothing more'), { once: true });
          void closed.then(fail('the end'));
        });
      }
      return answers;
    },
  };
}

export function tcpClient(port: number, from = '127.0.0.1'): StreamClient {
  return streamClient(connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true }));
}

export function dotClient(port: number, options: ConnectionOptions = {}): StreamClient {
  return streamClient(
    connectTls({
      port,
      host: '127.0.0.1',
      ca: testAuthority,
      servername: 'dns.test',
      ALPNProtocols: ['dot'],
      ...options,
    }),
  );
}

export type DohAnswer = {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
};

export type DohClient = {
  readonly session: ClientHttp2Session;
  readonly closed: Promise<void>;
  ask(headers: Record<string, string>, body?: Uint8Array | null): Promise<DohAnswer>;
  get(packet: Uint8Array, path?: string): Promise<DohAnswer>;
  post(packet: Uint8Array, path?: string): Promise<DohAnswer>;
};

/** `options` may bring a socket of its own. */
export function dohClient(port: number, options: ConnectionOptions = {}): DohClient {
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    ca: testAuthority,
    servername: 'dns.test',
    ...options,
  } as never);
  session.on('error', () => {});
  const ask: DohClient['ask'] = (headers, body = null) =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers, { endStream: body === null });
      const chunks: Buffer[] = [];
      let head: Record<string, string | string[] | undefined> = {};
      stream.on('response', (got) => (head = got as never));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', (error) => (head[':status'] === undefined ? reject(error) : undefined));
      stream.on('close', () => {
        if (head[':status'] === undefined) reject(new Error('closed without an answer'));
        else resolve({ status: Number(head[':status']), headers: head, body: Buffer.concat(chunks) });
      });
      if (body !== null) stream.end(body);
    });
  return {
    session,
    closed: new Promise((resolve) => session.on('close', () => resolve())),
    ask,
    get: (packet, path = '/dns-query') =>
      ask({ ':method': 'GET', ':path': `${path}?dns=${Buffer.from(packet).toString('base64url')}` }),
    post: (packet, path = '/dns-query') =>
      ask({ ':method': 'POST', ':path': path, 'content-type': 'application/dns-message' }, packet),
  };
}
