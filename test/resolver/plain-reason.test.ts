import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { encode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createExchange } from '../../src/resolver/exchange.ts';
import type { ExchangeDeps } from '../../src/resolver/exchange.ts';
import { createHostFinder } from '../../src/resolver/host-finder.ts';
import { plainReason } from '../../src/resolver/plain-reason.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import type { AnyUpstream } from '../../src/resolver/types.ts';
import { parseSecureUpstream } from '../../src/resolver/upstreams.ts';
import { otherCertificate, testAuthority, testCertificate, testKey } from '../support/certificate.ts';
import { startScriptedUpstream } from './scripted-upstream.ts';
import { startHttpsUpstream, startTlsUpstream } from './secure-upstream.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});
const kept = <T extends { close(): unknown }>(item: T): T => {
  open.push(item);
  return item;
};

const tls = (port: number, host = 'dns.test'): AnyUpstream =>
  parseSecureUpstream(`tls://127.0.0.1:${port}#${host}`);
const https = (port: number): AnyUpstream =>
  parseSecureUpstream(`https://127.0.0.1:${port}/dns-query#dns.test`);

/** Asks once in vain; what the upstream's state says of it then. */
async function reasonFor(upstream: AnyUpstream, more: Partial<ExchangeDeps> = {}) {
  const exchange = kept(
    createExchange({
      upstreams: [upstream],
      now: () => 5_000,
      randomId: createRandomIds(),
      timeoutMs: 600,
      authorities: testAuthority,
      ...more,
    }),
  );
  const query = encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'a.example', class: 'IN' }] });
  await expect(exchange.query(query)).rejects.toThrow('no answer');
  const [state] = exchange.upstreams();
  expect(state).toMatchObject({ up: false, trouble: { at: 5_000 } });
  return state!.trouble!.reason;
}

const listening = async <T extends Server>(server: T): Promise<number> => {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  kept({
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as AddressInfo).port;
};
const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

describe('why an upstream failed, by real servers', () => {
  it.each(['tls', 'https'])('%s: a certificate that nobody vouches for', async (kind) => {
    const server = kept(await (kind === 'tls' ? startTlsUpstream() : startHttpsUpstream()));
    const upstream = kind === 'tls' ? tls(server.port) : https(server.port);
    expect(await reasonFor(upstream, { authorities: null })).toBe(
      'its certificate is not trusted: name its authority under dns.upstream_ca',
    );
  });

  it('a certificate for another name', async () => {
    const server = kept(await startTlsUpstream(undefined, { cert: otherCertificate }));
    expect(await reasonFor(tls(server.port))).toBe('its certificate is for another name than dns.test');
  });

  it.each(['tls', 'https', 'udp'])('%s: nobody listens', async (kind) => {
    const port = await closedPort();
    const upstream =
      kind === 'udp' ? { address: '127.0.0.1', port } : kind === 'tls' ? tls(port) : https(port);
    expect(await reasonFor(upstream)).toBe(
      'it refuses the connection: nothing listens at this address and port',
    );
  });

  it.each(['tls', 'https', 'udp'])('%s: silence', async (kind) => {
    const silent = kept(await startScriptedUpstream());
    silent.script = () => [];
    const port = kind === 'udp' ? silent.port : await listening(createServer());
    const upstream =
      kind === 'udp' ? { address: '127.0.0.1', port } : kind === 'tls' ? tls(port) : https(port);
    expect(await reasonFor(upstream)).toMatch(/^no answer in \d+ ms$/);
  });

  it('TLS ended by the server, or never begun', async () => {
    const settings = { cert: testCertificate, key: testKey, ALPNProtocols: ['other'] };
    expect(await reasonFor(tls(await listening(createTlsServer(settings))))).toBe(
      'it does not offer this kind of DNS at this port',
    );
    const plain = createServer((socket) => void socket.on('data', () => {}).end('220 hello\r\n'));
    expect(await reasonFor(tls(await listening(plain)))).toMatch(/does not speak TLS|TLS failed/);
  });

  it('a connection closed before the answer', async () => {
    const server = kept(await startTlsUpstream((_asked, socket) => socket.destroy()));
    expect(await reasonFor(tls(server.port))).toMatch(/closed/);
  });

  it.each([false, true])('a status of HTTP (old: %s)', async (old) => {
    const server = kept(await startHttpsUpstream((_asked, response) => response.writeHead(503).end(), old));
    expect(await reasonFor(https(server.port))).toBe('the upstream answered with status 503');
  });

  it('a host that the bootstrap servers do not know, or nobody can be asked for', async () => {
    const nobody = createHostFinder({ open: () => null, now: Date.now });
    const upstream = parseSecureUpstream('tls://dns.test');
    expect(await reasonFor(upstream, { findHost: nobody.find })).toBe(
      'its address was not found: nobody can be asked where dns.test is: name a plain server under dns.bootstrap',
    );
    const findHost = async () => Promise.reject(new Error('dns.test has no address, say the servers'));
    expect(await reasonFor(upstream, { findHost })).toContain('its address was not found: dns.test has no');
  });
});

describe('why an upstream failed, in words', () => {
  const upstream = parseSecureUpstream('tls://dns.test');
  const failed = (message: string, more: object = {}): string =>
    plainReason(Object.assign(new Error(message), more), upstream);

  it.each([
    [{ code: 'CERT_HAS_EXPIRED' }, /expired/],
    [{ code: 'ENETUNREACH' }, /no way to its address/],
    [{ code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', reason: 'ssl/tls alert handshake failure' }, /alert/],
    [{ code: 'ERR_SSL_UNSUPPORTED_PROTOCOL' }, /^TLS failed: unsupported protocol$/],
    [{ code: 'constructor' }, /^plain words$/],
    [{ code: 7 }, /^plain words$/],
  ])('%j', (more, expected) => expect(failed('plain words', more)).toMatch(expected));

  it('is short, on one line and never empty, whatever a server made it say', () => {
    expect(failed(`a\n\u001b[31mb${'x'.repeat(1000)}`)).toMatch(/^a \[31mbx{1,200}$/);
    expect(failed(`a\n${'x'.repeat(1000)}`).length).toBeLessThanOrEqual(200);
    expect(failed('')).toBe('no reason given');
  });
});
