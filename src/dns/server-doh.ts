// DNS over HTTPS on one address (RFC 8484), HTTP/2 and HTTP/1.1 on the same port. What a request asks is read in
// doh-request.ts; here are sessions, bodies, limits and answers. No cookies, no CORS, nothing else is served.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { PADDING_BLOCK, freshness, padAnswer } from './answer-options.ts';
import { clientIdOfServerName } from './client-id.ts';
import { DNS_MESSAGE, DOH_METHODS, isQuery, readDohRequest } from './doh-request.ts';
import type { DohRequest } from './doh-request.ts';
import type { SecureDnsServer } from './server-dot.ts';
import { createStreamCounts, openStreamFront } from './stream-front.ts';
import type { Seat, StreamOptions } from './stream-front.ts';
import { createTlsDoor } from './tls-door.ts';
import type { Identity } from './tls-door.ts';
import { ANSWER_ROOM } from './types.ts';
import { MAX_QUERY } from './wire.ts';

// Loaded when needed: an import would cost every thread tens of milliseconds and megabytes at its start.
const http2 = () => process.getBuiltinModule('node:http2');

const IDLE_MS = 60_000;
/** Each takes some 80 KB while it rests, most of it in the TLS and HTTP/2 libraries. */
const MAX_CONNECTIONS = 4096;
/** Requests of one session that wait for answers. */
const MAX_STREAMS = 100;
/** Enough for the longest query in a GET. */
const MAX_HEADER_BYTES = 8192;

/**
 * A browser cancels a request now and then; hundreds in a row are an attack that makes the server begin work and throw it
 * away (CVE-2023-44487). The other limits are on what one session may make the server hold.
 */
const HTTP2_OPTIONS = {
  settings: {
    enablePush: false,
    maxConcurrentStreams: MAX_STREAMS,
    maxHeaderListSize: MAX_HEADER_BYTES,
    initialWindowSize: 16_384,
  },
  maxHeaderListPairs: 64,
  maxSessionMemory: 2,
  maxOutstandingPings: 4,
  maxOutstandingSettings: 4,
  maxSettings: 32,
  maxSessionInvalidFrames: 32,
  maxSessionRejectedStreams: 100,
  streamResetBurst: 200,
  streamResetRate: 20,
};

/** How a request is answered, in either version of HTTP. */
type Reply = (status: number, headers: Record<string, string>, body: Buffer | null) => void;

/** Who asks on a session. */
type Visitor = { readonly seat: Seat; readonly clientId: string | null };

// Shared by all sessions of the thread: nothing in them outlives the call that filled them.
const out = new Uint8Array(ANSWER_ROOM + PADDING_BLOCK);
const lateOut = new Uint8Array(ANSWER_ROOM + PADDING_BLOCK);

/** Resolves when the port is open; rejects with the system's error when the address cannot be had. */
export async function openDnsDoh(
  options: StreamOptions & { readonly identity: Identity },
): Promise<SecureDnsServer> {
  const { handler, idleMs = IDLE_MS } = options;
  const counts = {
    ...createStreamCounts(),
    handshakes: 0,
    resumed: 0,
    failedHandshakes: 0,
    refused: 0,
    http1: 0,
  };
  const door = createTlsDoor({
    identity: options.identity,
    protocols: ['h2', 'http/1.1'],
    counts,
    onSecure(socket, seat) {
      seat.active(idleMs);
      const name = typeof socket.servername === 'string' ? socket.servername : null;
      const visitor = { seat, clientId: clientIdOfServerName(name, door.identity().host) };
      if (socket.alpnProtocol === 'h2') return serveHttp2(socket, visitor);
      counts.http1++;
      visitors.set(socket, visitor);
      http1.emit('connection', socket);
    },
  });
  const visitors = new WeakMap<object, Visitor>();

  function refuse(reply: Reply, status: number): void {
    counts.refused++;
    reply(status, status === 405 ? { allow: DOH_METHODS } : {}, null);
  }

  function ask(packet: Uint8Array, visitor: Visitor, clientId: string | null, reply: Reply): void {
    const { seat } = visitor;
    counts.queries++;
    seat.active(idleMs);
    let waits = false;
    const asker = handler.asker(seat.client, clientId ?? visitor.clientId);
    const length = handler.handle(packet, packet.length, asker, 'doh', out, () => {
      waits = true;
      return (answer) => {
        lateOut.set(answer);
        give(lateOut, answer.length, reply);
      };
    });
    if (length > 0) give(out, length, reply);
    // What can be read and gets no answer is beyond all limits.
    else if (!waits) refuse(reply, 429);
  }

  function give(bytes: Uint8Array, length: number, reply: Reply): void {
    const seconds = freshness(bytes, length);
    const size = padAnswer(bytes, length);
    counts.answers++;
    const headers = {
      'content-type': DNS_MESSAGE,
      'content-length': String(size),
      // What one client is told is not for another.
      'cache-control': `private, max-age=${seconds}`,
    };
    reply(200, headers, Buffer.from(bytes.subarray(0, size)));
  }

  /** `body` hands over the whole body, or null when it is longer than any query. */
  function take(
    request: DohRequest,
    visitor: Visitor,
    reply: Reply,
    body: (then: (bytes: Uint8Array | null) => void) => void,
  ): void {
    if (request.kind === 'refused') return refuse(reply, request.status);
    if (request.kind === 'query') return ask(request.packet, visitor, request.clientId, reply);
    body((bytes) => {
      if (bytes === null) refuse(reply, 413);
      else if (!isQuery(bytes)) refuse(reply, 400);
      else ask(bytes, visitor, request.clientId, reply);
    });
  }

  const http1 = process
    .getBuiltinModule('node:http')
    .createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: idleMs, requestTimeout: 0, headersTimeout: 0 },
      (request, response) => {
        const visitor = visitors.get(request.socket);
        if (visitor === undefined) return void request.socket.destroy();
        const { 'content-type': type, 'content-length': length } = request.headers;
        const method = request.method ?? '';
        take(
          readDohRequest(method, request.url ?? '', type, length),
          visitor,
          replyHttp1(request, response),
          (then) => collect(request, then),
        );
      },
    );
  http1.maxRequestsPerSocket = 0;
  http1.on('clientError', (_error, socket) => {
    counts.errors++;
    socket.destroy();
  });

  function serveHttp2(socket: TLSSocket, visitor: Visitor): void {
    const session: ServerHttp2Session = http2().performServerHandshake(socket, HTTP2_OPTIONS);
    visitor.seat.leave = () => session.close();
    session.on('error', () => {
      counts.errors++;
      socket.destroy();
    });
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => {});
      const method = String(headers[':method']);
      const path = String(headers[':path'] ?? '');
      take(
        readDohRequest(method, path, headers['content-type'], headers['content-length']),
        visitor,
        replyHttp2(stream, method),
        (then) => collect(stream, then),
      );
    });
  }

  const front = await openStreamFront({
    maxConnections: MAX_CONNECTIONS,
    ...options,
    what: 'DNS over HTTPS',
    idleMs,
    halfOpen: false,
    counts,
    serve: (socket, seat) => door.open(socket, seat),
  });
  return { ...front, renew: (identity) => door.renew(identity) };
}

function replyHttp2(stream: ServerHttp2Stream, method: string): Reply {
  return (status, headers, body) => {
    if (stream.destroyed || stream.closed || stream.headersSent) return;
    const empty = body === null || method === 'HEAD';
    stream.respond({ ':status': status, ...headers }, { endStream: empty });
    if (!empty) stream.end(body);
    // Answered before the request was whole: the rest of it is not wanted.
    if (!stream.readableEnded && method === 'POST' && status !== 200)
      stream.close(http2().constants.NGHTTP2_NO_ERROR);
  };
}

function replyHttp1(request: IncomingMessage, response: ServerResponse): Reply {
  return (status, headers, body) => {
    if (response.destroyed || response.headersSent) return;
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(status, body === null ? { 'content-length': '0', ...headers } : headers);
    response.end(request.method === 'HEAD' ? null : body);
    if (!request.complete) response.once('finish', () => request.socket.destroySoon());
  };
}

/** The body of a request; null as soon as it is longer than any query. Nothing is told of one that is broken off. */
function collect(body: IncomingMessage | ServerHttp2Stream, then: (bytes: Uint8Array | null) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  body.on('data', (chunk: Buffer) => {
    if (size > MAX_QUERY) return;
    size += chunk.length;
    if (size > MAX_QUERY) then(null);
    else chunks.push(chunk);
  });
  body.on('end', () => {
    if (size <= MAX_QUERY) then(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
  });
  body.on('error', () => {});
}
