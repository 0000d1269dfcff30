import { once } from 'node:events';
import { request as requestHttps } from 'node:https';
import { constants } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { openDnsDoh } from '../../src/dns/server-doh.ts';
import { openDnsDot } from '../../src/dns/server-dot.ts';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import type { StreamOptions } from '../../src/dns/stream-front.ts';
import type { Identity } from '../../src/dns/tls-door.ts';
import type { Asker, DnsServer } from '../../src/dns/types.ts';
import { otherCertificate, testAuthority, testCertificate, testKey } from '../support/certificate.ts';
import { dohClient, dotClient, framed, tcpClient } from '../support/dns-streams.ts';
import { ALLOW, BLOCK, fakeExchange, query, read, rig } from './fixture.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});
function kept<T extends { close(): unknown }>(item: T): T {
  open.unshift(item);
  return item;
}
const dot = (...args: Parameters<typeof dotClient>) => {
  const client = dotClient(...args);
  kept({ close: () => client.socket.destroy() });
  return client;
};
const doh = (...args: Parameters<typeof dohClient>) => {
  const client = dohClient(...args);
  kept({ close: () => client.session.destroy() });
  return client;
};

const identity: Identity = {
  cert: testCertificate,
  key: testKey,
  ticketKeys: new Uint8Array(48).fill(7),
  host: 'dns.test',
};

/** A handler that blocks what begins with `bet`, answers the rest, and tells who asked. */
function wired(more: Parameters<typeof rig>[0] = {}) {
  const asked: Asker[] = [];
  const { handler } = rig({
    rule: (name) => (name.startsWith('bet') ? BLOCK : ALLOW),
    exchange: fakeExchange((name) => ({ answers: [{ type: 'A', name, ttl: 77, data: '192.0.2.1' }] })),
    ...more,
  });
  const asker: typeof handler.asker = (address, clientId) => {
    asked.push({ address, clientId: clientId ?? null });
    return handler.asker(address, clientId);
  };
  return { asked, handler: { ...handler, asker } };
}

async function dotServer(more: Partial<StreamOptions> = {}) {
  const { asked, handler } = wired();
  const at = { address: '127.0.0.1', port: 0, handler, identity, ...more };
  return { asked, server: kept(await openDnsDot(at)) };
}

async function dohServer(more: Partial<StreamOptions> = {}, rigged: Parameters<typeof rig>[0] = {}) {
  const { asked, handler } = wired(rigged);
  const at = { address: '127.0.0.1', port: 0, handler, identity, ...more };
  return { asked, server: kept(await openDnsDoh(at)) };
}

describe('over TLS', () => {
  it('F01 answers and blocks, padded, many on one connection', async () => {
    const { server } = await dotServer();
    const client = dot(server.port);
    client.socket.write(
      framed(query('a.example', { id: 1 }), query('bet.example', { id: 2 }), query('b.example', { id: 3 })),
    );
    const answers = await client.until(3);
    expect(answers.map((answer) => answer.length % 468)).toEqual([0, 0, 0]);
    const byId = new Map(answers.map((answer) => [read(answer).id, read(answer)]));
    expect(byId.get(1)).toMatchObject({ data: ['192.0.2.1'], rcodeNumber: 0 });
    expect(byId.get(2)).toMatchObject({ rcodeNumber: 3, ede: [15] });
    expect((client.socket as TLSSocket).alpnProtocol).toBe('dot');
    expect(server.stats()).toMatchObject({ handshakes: 1, queries: 3, answers: 3, open: 1 });
  });

  it('does not pad for one who does not speak EDNS', async () => {
    const { server } = await dotServer();
    const client = dot(server.port);
    client.socket.write(framed(query('bet.example', { edns: null })));
    expect((await client.until(1))[0]?.length).toBeLessThan(100);
  });

  it.each([
    ['dns.test', null],
    ['tablet-7.dns.test', 'tablet-7'],
    ['TABLET-7.DNS.test', 'tablet-7'],
    ['a.b.dns.test', null],
    ['tablet-7.elsewhere.test', null],
    ['-x.dns.test', null],
  ])('F01 F07 the name %s means the client id %s', async (servername, clientId) => {
    const { server, asked } = await dotServer();
    const client = dot(server.port, { servername, rejectUnauthorized: false });
    client.socket.write(framed(query('bet.example')));
    await client.until(1);
    expect(asked).toEqual([{ address: '127.0.0.1', clientId }]);
  });

  it('takes TLS 1.2 and 1.3 and nothing older, no other protocol by ALPN, and no renegotiation', async () => {
    const { server } = await dotServer();
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = dot(server.port, { minVersion: version, maxVersion: version });
      client.socket.write(framed(query('bet.example')));
      await client.until(1);
    }
    const old = dot(server.port, {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await old.closed;
    const http = dot(server.port, { ALPNProtocols: ['http/1.1'] });
    await http.closed;
    await expect.poll(() => server.stats()['failedHandshakes']).toBe(2);

    const client = dot(server.port, { maxVersion: 'TLSv1.2' });
    await once(client.socket, 'secureConnect');
    const refused = await new Promise<Error | null>((resolve) => {
      client.socket.on('error', resolve);
      (client.socket as TLSSocket).renegotiate({}, (error) => resolve(error));
    });
    expect(refused).toBeInstanceOf(Error);
    expect(constants.SSL_OP_NO_RENEGOTIATION).toBeGreaterThan(0);
  });

  it('a session is taken up again, at another server with the same ticket keys too', async () => {
    const first = await dotServer();
    const second = await dotServer();
    const client = dot(first.server.port);
    const session = once(client.socket, 'session') as Promise<[Buffer]>;
    client.socket.write(framed(query('bet.example')));
    await client.until(1);
    const [ticket] = await session;
    const again = dot(second.server.port, { session: ticket });
    again.socket.write(framed(query('bet.example')));
    await again.until(1);
    expect((again.socket as TLSSocket).isSessionReused()).toBe(true);
    expect(second.server.stats()).toMatchObject({ handshakes: 1, resumed: 1 });
  });

  it('new connections get a new certificate, and those that are open go on', async () => {
    const { server } = await dotServer();
    const names = (client: { socket: Socket }) =>
      (client.socket as TLSSocket).getPeerCertificate().subjectaltname;
    const before = dot(server.port);
    before.socket.write(framed(query('bet.example')));
    await before.until(1);
    expect(names(before)).toContain('DNS:dns.test');
    server.renew({ ...identity, cert: otherCertificate });
    const after = dot(server.port, { servername: 'other.test' });
    after.socket.write(framed(query('bet.example')));
    before.socket.write(framed(query('bet.example', { id: 2 })));
    await after.until(1);
    await before.until(2);
    expect(names(after)).toBe('DNS:other.test');
    // One that does not fit is refused, and the one in force stays.
    expect(() => server.renew({ ...identity, cert: 'nonsense' })).toThrow();
    const still = dot(server.port, { servername: 'other.test' });
    still.socket.write(framed(query('bet.example')));
    await still.until(1);
  });

  it('no query is lost while the certificate is replaced under load', async () => {
    const { server } = await dotServer();
    let answered = 0;
    await Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let turn = 0; turn < 10; turn++) {
          const client = dot(server.port, { rejectUnauthorized: false });
          client.socket.write(
            framed(query(`bet${worker}.example`, { id: 1 }), query('a.example', { id: 2 })),
          );
          await client.until(2);
          answered += 2;
          client.socket.destroy();
          server.renew({ ...identity, cert: turn % 2 === 0 ? otherCertificate : testCertificate });
        }
      }),
    );
    expect(answered).toBe(160);
    expect(server.stats()).toMatchObject({ queries: 160, answers: 160, failedHandshakes: 0 });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a handshake', Buffer.from([0x16, 3, 1, 2, 0])],
  ])(
    'a connection that says %s ends',
    async (_what, bytes) => {
      const { server } = await dotServer({ idleMs: 200 });
      const socket = connect(server.port, '127.0.0.1');
      kept({ close: () => socket.destroy() });
      socket.on('error', () => {});
      socket.write(bytes);
      await once(socket, 'close');
      await expect.poll(() => server.stats()['open']).toBe(0);
    },
    15_000,
  );

  it.each([
    ['a query in clear', framed(query('a.example'))],
    ['plain HTTP', Buffer.from('GET /dns-query HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['garbage', Buffer.alloc(4000, 0xa5)],
  ])('%s instead of TLS ends the connection', async (_what, bytes) => {
    const { server } = await dotServer();
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    socket.write(bytes);
    await once(socket, 'close');
    await expect.poll(() => server.stats()).toMatchObject({ open: 0, failedHandshakes: 1, queries: 0 });
  });

  it('one byte in each TLS record, and an end in the middle', async () => {
    const { server } = await dotServer();
    const client = dot(server.port);
    for (const byte of framed(query('bet.example', { id: 1 }), query('a.example', { id: 2 })))
      client.socket.write(Buffer.from([byte]));
    expect((await client.until(2)).map((answer) => read(answer).id).sort()).toEqual([1, 2]);
    client.socket.end(framed(query('a.example', { id: 3 })).subarray(0, 9));
    await client.closed;
    await expect.poll(() => server.stats()['open']).toBe(0);
  });

  it('answers what was asked before the client closed its side', async () => {
    const { server } = await dotServer();
    const client = dot(server.port, { allowHalfOpen: true } as never);
    await once(client.socket, 'secureConnect');
    client.socket.end(framed(query('a.example', { id: 1 }), query('bet.example', { id: 2 })));
    await client.until(2);
    await client.closed;
    await expect.poll(() => server.stats()['open']).toBe(0);
  });

  it('500 that rest hold no one up, and leave when their time is over', async () => {
    const { server } = await dotServer({ maxPerClient: 600, idleMs: 1500 });
    const resting = Array.from({ length: 250 }, () => dot(server.port));
    await Promise.all(resting.map((client) => once(client.socket, 'secureConnect')));
    const client = dot(server.port);
    client.socket.write(framed(query('bet.example')));
    await client.until(1);
    await expect.poll(() => server.stats(), { timeout: 10_000 }).toMatchObject({ open: 0, idle: 251 });
  }, 20_000);
});

describe('over HTTPS', () => {
  it.each(['get', 'post'] as const)(
    'F01 HTTP/2 %s: an answer, a block, their lives and lengths',
    async (method) => {
      const { server, asked } = await dohServer();
      const client = doh(server.port);
      const answer = await client[method](query('a.example', { id: 0 }));
      expect(answer).toMatchObject({
        status: 200,
        headers: {
          'content-type': 'application/dns-message',
          'content-length': '468',
          'cache-control': 'private, max-age=77',
        },
      });
      expect(read(answer.body)).toMatchObject({ id: 0, data: ['192.0.2.1'] });
      const block = await client[method](query('bet.example'), '/dns-query/Tablet-7');
      expect(read(block.body)).toMatchObject({ rcodeNumber: 3, ede: [15] });
      expect(block.headers['cache-control']).toBe('private, max-age=10');
      expect(asked).toEqual([
        { address: '127.0.0.1', clientId: null },
        { address: '127.0.0.1', clientId: 'tablet-7' },
      ]);
      for (const name of ['set-cookie', 'server', 'access-control-allow-origin'])
        expect(answer.headers[name]).toBeUndefined();
    },
  );

  it('F01 the id in the server name counts where the path has none', async () => {
    const { server, asked } = await dohServer();
    const client = doh(server.port, { servername: 'phone.dns.test', rejectUnauthorized: false });
    await client.get(query('bet.example'));
    await client.get(query('bet.example'), '/dns-query/tablet-7');
    expect(asked.map(({ clientId }) => clientId)).toEqual(['phone', 'tablet-7']);
  });

  it('HTTP/1.1: GET, HEAD and POST on a kept connection', async () => {
    const { server } = await dohServer();
    const { Agent } = await import('node:https');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    kept({ close: () => agent.destroy() });
    const base = { host: '127.0.0.1', port: server.port, ca: testAuthority, servername: 'dns.test', agent };
    const send = (
      method: string,
      path: string,
      body?: Buffer,
    ): Promise<[number, Record<string, unknown>, Buffer]> =>
      new Promise((resolve, reject) => {
        const headers = body === undefined ? {} : { 'content-type': 'application/dns-message' };
        const request = requestHttps({ ...base, method, path, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve([response.statusCode ?? 0, response.headers, Buffer.concat(chunks)]),
          );
        });
        request.on('error', reject);
        request.end(body);
      });
    const path = `/dns-query?dns=${query('a.example').toString('base64url')}`;
    const [status, headers, body] = await send('GET', path);
    expect([status, headers['content-length'], read(body).data]).toEqual([200, '468', ['192.0.2.1']]);
    const [headStatus, headHeaders, nothing] = await send('HEAD', path);
    expect([headStatus, headHeaders['content-length'], nothing.length]).toEqual([200, '468', 0]);
    expect(read((await send('POST', '/dns-query', query('bet.example')))[2]).rcodeNumber).toBe(3);
    expect((await send('POST', '/dns-query', Buffer.alloc(4097)))[0]).toBe(413);
    expect((await send('GET', '/'))[0]).toBe(404);
    expect(server.stats()).toMatchObject({ queries: 3, refused: 2 });
  });

  const long = Buffer.alloc(4097);
  const type = { 'content-type': 'application/dns-message' };
  const good = query('a.example').toString('base64url');
  it.each([
    ['another path', 404, { ':path': `/?dns=${good}` }],
    ['a path below an id', 404, { ':path': `/dns-query/a/b?dns=${good}` }],
    ['an id that is none', 404, { ':path': `/dns-query/a_b?dns=${good}` }],
    ['no query', 400, { ':path': '/dns-query' }],
    ['two queries', 400, { ':path': `/dns-query?dns=${good}&dns=${good}` }],
    ['padding', 400, { ':path': `/dns-query?dns=${good}=` }],
    ['other letters', 400, { ':path': '/dns-query?dns=AAAA+AAA/AAAAAAAAAAAA' }],
    ['too few bytes', 400, { ':path': '/dns-query?dns=AAAA' }],
    [
      'an answer',
      400,
      { ':path': `/dns-query?dns=${query('a.example', { flags: 0x8180 }).toString('base64url')}` },
    ],
    ['a query that is too long', 413, { ':path': `/dns-query?dns=${long.toString('base64url')}` }],
    ['another method', 405, { ':method': 'PUT', ':path': '/dns-query' }],
    ['OPTIONS', 405, { ':method': 'OPTIONS', ':path': '/dns-query' }],
  ])('%s gets %i', async (_what, status, headers) => {
    const { server } = await dohServer();
    const client = doh(server.port);
    const answer = await client.ask({ ':method': 'GET', ...headers });
    expect(answer.status).toBe(status);
    if (status === 405) expect(answer.headers['allow']).toBe('GET, HEAD, POST');
    expect(read((await client.get(query('bet.example'))).body).rcodeNumber).toBe(3);
  });

  it.each([
    ['no content type', 415, {}, query('a.example')],
    ['another content type', 415, { 'content-type': 'application/json' }, query('a.example')],
    ['an empty body', 400, type, Buffer.alloc(0)],
    ['a body that is no query', 400, type, Buffer.from('hello')],
    ['a huge body', 413, type, Buffer.alloc(1 << 20)],
    ['a body that says it is huge', 413, { ...type, 'content-length': '5000' }, Buffer.alloc(5000)],
  ])('POST with %s gets %i', async (_what, status, headers, body) => {
    const { server } = await dohServer();
    const client = doh(server.port);
    const answer = await client.ask({ ':method': 'POST', ':path': '/dns-query', ...headers }, body);
    expect(answer.status).toBe(status);
    expect(read((await client.post(query('bet.example'))).body).rcodeNumber).toBe(3);
  });

  it('a content type with parameters and capitals will do', async () => {
    const { server } = await dohServer();
    const headers = {
      ':method': 'POST',
      ':path': '/dns-query',
      'content-type': 'Application/DNS-Message; a=b',
    };
    expect((await doh(server.port).ask(headers, query('bet.example'))).status).toBe(200);
  });

  it('malformed DNS in good HTTP gets FORMERR, errors are not to be kept', async () => {
    const { server } = await dohServer();
    const answer = await doh(server.port).post(query('a.example').subarray(0, 16));
    expect(answer.headers['cache-control']).toBe('private, max-age=0');
    expect(read(answer.body).rcodeNumber).toBe(1);
  });

  it('many at once on one session, a slow one does not hold the others', async () => {
    const { server } = await dohServer();
    const client = doh(server.port);
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, i) => client.get(query(`n${i}.example`, { id: i }))),
    );
    expect(answers.map(({ body }) => read(body).id)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('a flood of streams that are taken back at once ends its session and no other', async () => {
    const { server } = await dohServer();
    const good = doh(server.port);
    await good.get(query('a.example'));
    const flood = connectTls({
      port: server.port,
      ca: testAuthority,
      servername: 'dns.test',
      ALPNProtocols: ['h2'],
    });
    kept({ close: () => flood.destroy() });
    flood.on('error', () => {}).resume();
    await once(flood, 'secureConnect');
    const closed = once(flood, 'close');
    const frame = (type: number, flags: number, stream: number, data: Buffer): Buffer => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(data.length, 0, 3);
      head[3] = type;
      head[4] = flags;
      head.writeUInt32BE(stream, 5);
      return Buffer.concat([head, data]);
    };
    const path = Buffer.from(`/dns-query?dns=${query('bet.example').toString('base64url')}`);
    // :method GET, :scheme https, :path and :authority, all of them HPACK literals or of its table
    const fields = Buffer.concat([
      Buffer.from([0x82, 0x87, 0x04, path.length]),
      path,
      Buffer.from([0x01, 1]),
      Buffer.from('x'),
    ]);
    flood.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    flood.write(frame(4, 0, 0, Buffer.alloc(0)));
    for (let stream = 1; stream < 20_000 && flood.writable; stream += 2) {
      flood.write(
        Buffer.concat([frame(1, 5, stream, fields), frame(3, 0, stream, Buffer.from([0, 0, 0, 8]))]),
      );
      if (stream % 200 === 1) await new Promise((resolve) => setImmediate(resolve));
    }
    flood.end();
    await closed;
    expect(server.stats()['queries']).toBeLessThan(2000);
    expect(read((await good.get(query('bet.example'))).body).rcodeNumber).toBe(3);
  }, 20_000);

  it('headers beyond any use end in a refusal, and the next session is served', async () => {
    const { server } = await dohServer();
    const client = doh(server.port);
    const headers = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, 'x'.repeat(300)]));
    const path = `/dns-query?dns=${query('a.example').toString('base64url')}`;
    await expect(client.ask({ ':method': 'GET', ':path': path, ...headers })).rejects.toThrow();
    expect(server.stats()['queries']).toBe(0);
    expect(read((await doh(server.port).get(query('bet.example'))).body).rcodeNumber).toBe(3);
  });

  it('a session that rests is told so and ends', async () => {
    const { server } = await dohServer({ idleMs: 300 });
    const client = doh(server.port);
    let goaway = -1;
    client.session.on('goaway', (code) => (goaway = code));
    await client.get(query('bet.example'));
    await client.closed;
    expect(goaway).toBe(0);
    await expect.poll(() => server.stats()).toMatchObject({ open: 0, idle: 1 });
  }, 10_000);

  it('a request that trickles in does not hold its connection open', async () => {
    const { server } = await dohServer({ idleMs: 300 });
    const socket = connectTls({ port: server.port, ca: testAuthority, servername: 'dns.test' });
    socket.on('error', () => {}).resume();
    await once(socket, 'secureConnect');
    const drip = setInterval(() => socket.write('x'), 40);
    socket.write('GET /dns-query HTTP/1.1\r\nhost: ');
    // The last drops may meet a closed door, which is an error before it is the end.
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    expect(server.stats()['queries']).toBe(0);
  }, 10_000);

  it('the limit on one client bites in HTTP as in DNS', async () => {
    const { server } = await dohServer({}, { settings: { rateLimit: { qps: 2, exempt: [] } } });
    const client = doh(server.port);
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.get(query('bet.example'))));
    const limited = answers.filter(
      ({ status, body }) => status === 429 || (status === 200 && read(body).rcodeNumber === 5),
    );
    expect(limited.length).toBeGreaterThan(4);
  });

  it('a new certificate is shown to new sessions', async () => {
    const { server } = await dohServer();
    const client = doh(server.port);
    await client.get(query('bet.example'));
    server.renew({ ...identity, cert: otherCertificate });
    await client.get(query('bet.example'));
    const after = doh(server.port, { servername: 'other.test' });
    await after.get(query('bet.example'));
    expect((after.session.socket as TLSSocket).getPeerCertificate().subjectaltname).toBe('DNS:other.test');
  });
});

describe('over TCP', () => {
  it('answers that are ready together go out together', async () => {
    const { handler } = wired();
    const server: DnsServer = kept(await openDnsTcp({ address: '127.0.0.1', port: 0, handler }));
    const client = tcpClient(server.port);
    kept({ close: () => client.socket.destroy() });
    client.socket.write(framed(...Array.from({ length: 60 }, (_, i) => query(`bet${i}.example`, { id: i }))));
    await client.until(60);
    expect(client.chunks.length).toBe(1);
  });

  it('says how long a connection may rest to one who asks (RFC 7828)', async () => {
    const { handler } = wired();
    const server = kept(await openDnsTcp({ address: '127.0.0.1', port: 0, handler }));
    const client = tcpClient(server.port);
    kept({ close: () => client.socket.destroy() });
    const keepAlive = Buffer.from([0, 11, 0, 0]);
    client.socket.write(framed(query('bet.example', { edns: { options: keepAlive } })));
    client.socket.write(framed(query('a.example', { edns: { options: keepAlive } })));
    for (const answer of await client.until(2))
      expect(answer.includes(Buffer.from([0, 11, 0, 2, 0, 100]))).toBe(true);
    client.socket.write(framed(query('bet.example')));
    expect((await client.until(3))[2]?.includes(Buffer.from([0, 11, 0, 2]))).toBe(false);
  });
});
