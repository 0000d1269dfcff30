// One HTTP request, straight or through the proxy, from a local address of choice; and a CONNECT. Nothing is pooled.

import http from 'node:http';
import net from 'node:net';

export type WebAnswer = { status: number; headers: http.IncomingHttpHeaders; body: string };

export type WebRequest = {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** the address the client comes from */
  from?: string;
  /** port of a proxy on loopback */
  proxy?: number;
};

export function fetchFrom(url: string, options: WebRequest = {}): Promise<WebAnswer> {
  const target = new URL(url);
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host: options.proxy === undefined ? target.hostname : '127.0.0.1',
        port: options.proxy ?? target.port,
        path: options.proxy === undefined ? target.pathname + target.search : url,
        method: options.method ?? 'GET',
        localAddress: options.from,
        agent: false,
        headers: {
          host: target.host,
          ...(options.body !== undefined && { 'content-type': 'application/json' }),
          ...options.headers,
        },
        timeout: 10_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url}`)));
    request.on('error', reject);
    request.end(options.body);
  });
}

export type Tunnel = { status: number; socket: net.Socket; body: string; closed: Promise<void> };

/** Asks the proxy for a tunnel; the socket is the tunnel when the status is 200, else the answer's body was read. */
export function openTunnel(proxy: number, target: string, from = '127.0.0.1'): Promise<Tunnel> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port: proxy, localAddress: from });
    const closed = new Promise<void>((done) => socket.once('close', () => done()));
    let text = '';
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const status = Number(text.split(' ')[1]);
      if (status === 200) {
        socket.off('data', onData);
        resolve({ status, socket, body: '', closed });
        return;
      }
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (text.length - end - 4 < length) return;
      socket.off('data', onData);
      resolve({ status, socket, body: text.slice(end + 4), closed });
    };
    socket.on('data', onData);
    socket.on('error', reject);
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer to CONNECT ${target}`)));
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  });
}
