// Queries over HTTPS (RFC 8484): POST on one kept HTTP/2 session, or HTTP/1.1 connections when the server speaks nothing newer. What
// a server refuses to begin (GOAWAY, REFUSED_STREAM) is asked once more. What an answer must say is the exchange's business.

import type { ClientHttp2Session } from 'node:http2';
import type { Agent, RequestOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Way } from './asking.ts';
import { paddedCopy } from './edns.ts';
import { questionEnd } from './questions.ts';
import type { SecureDial } from './secure-dial.ts';
import type { SecureUpstream } from './types.ts';
import type { Flight } from './udp-pool.ts';

// Loaded when needed: an import would cost every thread tens of milliseconds and megabytes at its start.
const http2 = () => process.getBuiltinModule('node:http2');
const https = () => process.getBuiltinModule('node:https');

export type HttpsWayDeps<T> = {
  readonly upstream: SecureUpstream;
  readonly dial: SecureDial;
  readonly idleMs: number;
  readonly padding: number;
  readonly onAnswer: (answer: Uint8Array, token: T) => boolean;
  readonly onUnreachable: (token: T, error: Error) => void;
};

type Query<T> = {
  /** null when nobody waits any more */
  token: T | null;
  readonly body: Uint8Array;
  again: boolean;
  /** ends what is under way for it */
  stop: () => void;
};

type Line<T> = {
  readonly socket: TLSSocket;
  session: ClientHttp2Session | null;
  /** asked before it was known what the server speaks */
  readonly early: Set<Query<T>>;
  waiting: number;
  silentSince: number;
  over: boolean;
};

const MEDIA_TYPE = 'application/dns-message';
const MAX_ANSWER = 65_535;
const MAX_QUERIES = 8192;
const STALLED_MS = 2500;
const OLD_CONNECTIONS = 16;

export function createHttpsWay<T>(deps: HttpsWayDeps<T>): Way<T> {
  const { upstream, dial } = deps;
  const authority = `${upstream.host.includes(':') ? `[${upstream.host}]` : upstream.host}:${upstream.port}`;
  const headers = { 'content-type': MEDIA_TYPE, accept: MEDIA_TYPE };
  let line: Line<T> | null = null;
  let agent: Agent | null = null;
  let closed = false;
  let inFlight = 0;

  function open(): Line<T> {
    const opened: Line<T> = {
      socket: dial.open((socket) => {
        if (opened.over) return;
        if (socket.alpnProtocol === 'h2') beginSession(opened);
        else useOldConnections(opened);
      }),
      session: null,
      early: new Set(),
      waiting: 0,
      silentSince: 0,
      over: false,
    };
    opened.socket.unref();
    opened.socket.on('error', (error: Error) => end(opened, error));
    opened.socket.on('close', () => end(opened, new Error('closed before the answer came')));
    return opened;
  }

  function beginSession(opened: Line<T>): void {
    const session = http2().connect(`https://${authority}`, { createConnection: () => opened.socket });
    opened.session = session;
    session.on('error', (error: Error) => end(opened, error));
    session.on('close', () => end(opened, new Error('closed by the upstream')));
    // What it has begun it may finish; new questions go to a new session.
    session.on('goaway', () => {
      if (line === opened) line = null;
    });
    session.setTimeout(deps.idleMs, () => {
      if (opened.waiting === 0) end(opened, new Error('idle'));
    });
    session.unref();
    for (const query of opened.early) if (query.token !== null) post(opened, session, query);
    opened.early.clear();
  }

  function post(on: Line<T>, session: ClientHttp2Session, query: Query<T>): void {
    const stream = session.request({
      ...headers,
      ':method': 'POST',
      ':path': upstream.path,
      'content-length': query.body.length,
    });
    const collected = collect();
    if (on.waiting++ === 0) on.silentSince = performance.now();
    let counted = true;
    const leave = (): void => {
      if (counted) on.waiting--;
      counted = false;
    };
    let fits = false;
    query.stop = () => {
      leave();
      stream.close();
    };
    stream.on('response', (fields) => {
      on.silentSince = performance.now();
      fits = fields[':status'] === 200 && isMessage(fields['content-type']);
      if (!fits) {
        leave();
        stream.close();
        lose(query, new Error(`the upstream answered with status ${String(fields[':status'])}`));
      }
    });
    stream.on('data', (chunk: Buffer) => {
      if (!collected.add(chunk)) stream.close();
    });
    stream.on('end', () => {
      leave();
      if (fits) answer(query, collected.whole());
    });
    // Its fate is told by `close`, which always comes.
    stream.on('error', () => {});
    stream.on('close', () => {
      leave();
      retry(query, new Error('the upstream broke off'));
    });
    stream.end(query.body);
  }

  function useOldConnections(opened: Line<T>): void {
    agent = new (https().Agent)({ keepAlive: true, maxSockets: OLD_CONNECTIONS, timeout: deps.idleMs });
    opened.over = true;
    if (line === opened) line = null;
    opened.socket.destroy();
    for (const query of opened.early) if (query.token !== null) postOld(agent, query);
    opened.early.clear();
  }

  function postOld(through: Agent, query: Query<T>): void {
    const options = {
      ...dial.options(),
      ALPNProtocols: ['http/1.1'],
      agent: through,
      method: 'POST',
      path: upstream.path,
      headers: { ...headers, host: authority, 'content-length': query.body.length },
    };
    const asked = https().request(options as RequestOptions);
    query.stop = () => asked.destroy();
    asked.on('socket', (socket) => socket.unref());
    asked.on('error', (error) => retry(query, error));
    asked.on('close', () => retry(query, new Error('the upstream broke off')));
    asked.on('response', (response) => {
      const fits = response.statusCode === 200 && isMessage(response.headers['content-type']);
      if (!fits) {
        asked.destroy();
        return lose(query, new Error(`the upstream answered with status ${response.statusCode}`));
      }
      const collected = collect();
      response.on('data', (chunk: Buffer) => {
        if (!collected.add(chunk)) asked.destroy();
      });
      response.on('error', () => {});
      response.on('end', () => answer(query, collected.whole()));
    });
    asked.end(query.body);
  }

  function answer(query: Query<T>, message: Uint8Array): void {
    const { token } = query;
    if (token === null) return;
    finish(query);
    if (message.length < 12 || !deps.onAnswer(message, token)) {
      deps.onUnreachable(token, new Error('the upstream answered another question'));
    }
  }

  function finish(query: Query<T>): void {
    query.token = null;
    query.stop = () => {};
    inFlight--;
  }

  function lose(query: Query<T>, error: Error): void {
    const { token } = query;
    if (token === null) return;
    finish(query);
    deps.onUnreachable(token, error);
  }

  /** The server did not take it up, or broke off: once more, on another session. */
  function retry(query: Query<T>, error: Error): void {
    if (query.token === null) return;
    if (closed || !query.again) return lose(query, error);
    query.again = false;
    if (!put(query)) lose(query, error);
  }

  function end(ended: Line<T>, error: Error): void {
    if (ended.over) return;
    ended.over = true;
    if (line === ended) line = null;
    ended.session?.destroy();
    ended.socket.destroy();
    // There never was a session: a second attempt at once would fare no better. Those under way hear it from their streams.
    for (const query of ended.early) lose(query, error);
    ended.early.clear();
  }

  function put(query: Query<T>): boolean {
    if (agent !== null) {
      postOld(agent, query);
      return true;
    }
    const stalled =
      line !== null && line.waiting > 0 && performance.now() - line.silentSince > STALLED_MS ? line : null;
    if (stalled !== null) end(stalled, new Error('the upstream stays silent'));
    const session = line?.session ?? null;
    if (line !== null && session !== null && (session.closed || session.destroyed)) line = null;
    if (line === null) {
      try {
        line = open();
      } catch {
        return false; // out of file descriptors: the exchange goes on to its next attempt
      }
    }
    if (line.session === null) line.early.add(query);
    else post(line, line.session, query);
    return true;
  }

  return {
    send(packet, token): Flight | null {
      if (closed || inFlight >= MAX_QUERIES) return null;
      const body = paddedCopy(packet, questionEnd(packet), deps.padding);
      // The same question has the same bytes, for caches on the way (RFC 8484, section 4.1).
      body[0] = body[1] = 0;
      const query: Query<T> = { token, body, again: true, stop: () => {} };
      inFlight++;
      if (!put(query)) {
        finish(query);
        return null;
      }
      return {
        cancel() {
          if (query.token === null) return;
          const { stop } = query;
          finish(query);
          stop();
        },
      };
    },
    close() {
      closed = true;
      agent?.destroy();
      if (line !== null) end(line, new Error('closed'));
    },
  };
}

function isMessage(type: string | undefined): boolean {
  return type?.split(';', 1)[0]?.trim().toLowerCase() === MEDIA_TYPE;
}

/** The parts of a body, up to the longest that a message may be. */
function collect(): { add(chunk: Buffer): boolean; whole(): Uint8Array } {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add(chunk) {
      size += chunk.length;
      if (size <= MAX_ANSWER) chunks.push(chunk);
      return size <= MAX_ANSWER;
    },
    whole: () => Buffer.concat(chunks),
  };
}
